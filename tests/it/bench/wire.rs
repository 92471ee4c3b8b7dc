//! A way to a server on which bytes and connections are counted, and when the last one came back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// See the module.
pub struct Wire {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    counts: Arc<Counts>,
}

struct Counts {
    bytes: AtomicU64,
    connections: AtomicU64,
    replied: Mutex<Instant>,
}

impl Wire {
    /// A way to a server of this machine, `http://127.0.0.1:PORT`.
    pub async fn to(url: &str) -> Self {
        let server = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let counts = Arc::new(Counts {
            bytes: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            replied: Mutex::new(Instant::now()),
        });
        let counting = counts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counting.connections.fetch_add(1, Ordering::Relaxed);
                let server = TcpStream::connect(&server).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(from_client, to_server, counting.clone(), false));
                tokio::spawn(pass(from_server, to_client, counting.clone(), true));
            }
        });
        Self { url, counts }
    }

    /// Bytes so far, both ways.
    pub fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// When the last byte of a reply passed.
    pub fn replied(&self) -> Instant {
        *self.counts.replied.lock().unwrap()
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counts: Arc<Counts>, is_reply: bool) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
        counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
        if is_reply {
            *counts.replied.lock().unwrap() = Instant::now();
        }
    }
}
