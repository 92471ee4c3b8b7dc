//! On the way from a controller to its three servers: every call gets a name and is counted, and one of them can be broken off or held
//! at a point of its way. What stands behind is real; each call goes there on a connection of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use super::tagboat::Launch;
use super::world::World;
use super::{guard, next_number};

/// How far a call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The server hears nothing of it.
    Before,
    /// The server hears half of it.
    Middle,
    /// The server hears all of it, and its answer is lost.
    After,
}

/// All of them.
pub const POINTS: [Point; 3] = [Point::Before, Point::Middle, Point::After];

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The connection breaks.
    Break,
    /// The call stands still until [`Cutter::let_go`], also when its caller is gone by then.
    Hold,
}

/// A plan for the next call of a name.
#[derive(Debug, Clone)]
struct Plan {
    call: String,
    point: Point,
    act: Act,
}

/// See the module.
pub struct Cutter {
    kubeconfig: PathBuf,
    git: String,
    registry: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    calls: Mutex<Vec<String>>,
    pushes: Mutex<Vec<[String; 2]>>,
    plan: Mutex<Option<Plan>>,
    /// How many plans came to pass.
    met: watch::Sender<usize>,
    /// How many were let go.
    free: watch::Sender<usize>,
}

impl Cutter {
    /// Before the API server, the Git server and the registry of a world.
    pub async fn new(world: &World) -> Self {
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            pushes: Mutex::default(),
            plan: Mutex::default(),
            met: watch::Sender::new(0),
            free: watch::Sender::new(0),
        });
        let text = std::fs::read_to_string(world.cluster.kubeconfig("tagboat")).unwrap();
        let mut config: Value = serde_yaml::from_str(&text).unwrap();
        let cluster = &mut config["clusters"][0]["cluster"];
        let authority = cluster["certificate-authority"].as_str().unwrap().to_owned();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let api = Behind { host: host(world.cluster.url()), tls: Some(TlsConnector::from(Arc::new(tls))) };
        let [api, git, registry] = [
            serve(api, &shared).await,
            serve(Behind { host: host(&world.git.url), tls: None }, &shared).await,
            serve(Behind { host: world.registry.host.clone(), tls: None }, &shared).await,
        ];
        *cluster = serde_json::json!({"server": format!("http://{api}")});
        let kubeconfig = guard::folder().join(format!("cut-{}.kubeconfig", next_number()));
        std::fs::write(&kubeconfig, serde_yaml::to_string(&config).unwrap()).unwrap();
        Self { kubeconfig, git, registry, shared }
    }

    /// The same controller, with its API server behind this.
    pub fn launch(&self, launch: Launch) -> Launch {
        Launch { kubeconfig: self.kubeconfig.clone(), ..launch }
    }

    /// The URL of a repository of the world's Git server, by this way.
    pub fn git(&self, world: &World, url: &str) -> String {
        url.replace(&world.git.url, &format!("http://{}", self.git))
    }

    /// The name of an image of the world, by this way.
    pub fn image(&self, world: &World, app: &str) -> String {
        format!("{}/{}", self.registry, world.repository(app))
    }

    /// The names of all calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// The commits that were asked to be put in the place of others: old, new.
    pub fn pushes(&self) -> Vec<[String; 2]> {
        self.shared.pushes.lock().unwrap().clone()
    }

    /// The next call of this name gets to this point.
    pub fn plan(&self, call: &str, point: Point, act: Act) {
        *self.shared.plan.lock().unwrap() = Some(Plan { call: call.to_owned(), point, act });
    }

    /// No plan any more.
    pub fn disarm(&self) {
        *self.shared.plan.lock().unwrap() = None;
    }

    /// How many plans came to pass.
    pub fn met(&self) -> usize {
        *self.shared.met.borrow()
    }

    /// Waits until so many plans came to pass.
    pub async fn meets(&self, times: usize) {
        let mut met = self.shared.met.subscribe();
        met.wait_for(|met| *met >= times).await.unwrap();
    }

    /// Whatever is held goes on.
    pub fn let_go(&self) {
        let met = self.met();
        self.shared.free.send_replace(met);
    }
}

fn host(url: &str) -> String {
    url.split_once("://").unwrap().1.to_owned()
}

impl Shared {
    /// Counts a call; what is planned for it.
    fn come(&self, request: &Request) -> Option<Plan> {
        let name = request.name();
        self.pushes.lock().unwrap().extend(request.push());
        self.calls.lock().unwrap().push(name.clone());
        self.plan.lock().unwrap().take_if(|plan| plan.call == name)
    }

    /// The plan comes to pass; `false` when that is the end of the call.
    async fn goes_on(&self, plan: &Plan) -> bool {
        let mut number = 0;
        self.met.send_modify(|met| {
            *met += 1;
            number = *met;
        });
        if plan.act == Act::Hold {
            let _ = self.free.subscribe().wait_for(|free| *free >= number).await;
        }
        plan.act == Act::Hold
    }
}

#[derive(Clone)]
struct Behind {
    host: String,
    tls: Option<TlsConnector>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Behind {
    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(&self.host).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

/// Serves on a free port until the run ends; its host and port.
async fn serve(behind: Behind, shared: &Arc<Shared>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let shared = shared.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (behind, shared) = (behind.clone(), shared.clone());
            tokio::spawn(async move { pass(client, &behind, &shared).await });
        }
    });
    host
}

/// One call; the connection ends with it.
async fn pass(mut client: TcpStream, behind: &Behind, shared: &Shared) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let Some(request) = Request::read(&mut client).await? else { return Ok(()) };
    let plan = shared.come(&request);
    let at = |point| plan.as_ref().filter(|plan| plan.point == point);
    if let Some(plan) = at(Point::Before)
        && !shared.goes_on(plan).await
    {
        return Ok(());
    }
    let mut server = behind.connect().await?;
    let bytes = request.bytes();
    let half = if request.body.is_empty() { bytes.len() / 2 } else { bytes.len() - request.body.len() / 2 - 1 };
    server.write_all(&bytes[..half]).await?;
    server.flush().await?;
    if let Some(plan) = at(Point::Middle)
        && !shared.goes_on(plan).await
    {
        return Ok(());
    }
    server.write_all(&bytes[half..]).await?;
    server.flush().await?;
    if let Some(plan) = at(Point::After) {
        let mut answer = vec![0; 64 << 10];
        let length = server.read(&mut answer).await?;
        answer.truncate(length);
        if !request.is_watch() {
            server.read_to_end(&mut answer).await?;
        }
        if shared.goes_on(plan).await {
            client.write_all(&answer).await?;
        }
        return Ok(());
    }
    let (mut from_client, mut to_client) = client.split();
    let mut gone = [0];
    tokio::select! {
        copied = tokio::io::copy(&mut server, &mut to_client) => copied.map(drop),
        // A caller that waits for its answer says nothing more: it is gone.
        _ = from_client.read(&mut gone) => Ok(()),
    }
}

struct Request {
    /// Without the line that would keep the connection.
    head: String,
    body: Vec<u8>,
}

impl Request {
    async fn read(client: &mut TcpStream) -> std::io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if client.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let mut body = bytes.split_off(end + 4);
        let lines: Vec<String> = String::from_utf8_lossy(&bytes[..end]).split("\r\n").map(str::to_owned).collect();
        let header = |line: &str, name: &str| {
            line.split_once(':')
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        let length =
            lines.iter().find_map(|line| header(line, "content-length")).map_or(0, |length| length.parse().unwrap());
        assert!(!lines.iter().any(|line| header(line, "transfer-encoding").is_some()), "a body in chunks: {lines:?}");
        while body.len() < length {
            if client.read_buf(&mut body).await? == 0 {
                return Ok(None);
            }
        }
        let kept = lines.iter().filter(|line| header(line, "connection").is_none());
        let head = kept.fold(String::new(), |head, line| head + line + "\r\n") + "connection: close\r\n\r\n";
        Ok(Some(Self { head, body }))
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }

    fn line(&self) -> (&str, &str) {
        let mut words = self.head.split(' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// Old and new commit of a push's first command: four digits of length, then both.
    fn push(&self) -> Option<[String; 2]> {
        let id = |from: usize| Some(String::from_utf8_lossy(self.body.get(from..from + 40)?).into_owned());
        self.line().1.ends_with("/git-receive-pack").then(|| Some([id(4)?, id(45)?]))?
    }

    fn is_watch(&self) -> bool {
        self.line().1.contains("watch=true")
    }

    /// Such as `git push`, `registry list`, `PATCH imageupdates/status`, `POST events Committed`.
    fn name(&self) -> String {
        let (method, path) = self.line();
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let has = |text: &[u8]| self.body.windows(text.len()).any(|window| window == text);
        if path.ends_with("/git-receive-pack") {
            return "git push".to_owned();
        }
        if path.ends_with("/git-upload-pack") {
            return if has(b"command=ls-refs") { "git head" } else { "git fetch" }.to_owned();
        }
        if path.ends_with("/info/refs") {
            return "git refs".to_owned();
        }
        if let Some(rest) = path.strip_prefix("/v2/") {
            let kind = ["tags", "manifests", "blobs"].into_iter().find(|kind| rest.contains(&format!("/{kind}/")));
            return format!("registry {}", kind.unwrap_or("hello"));
        }
        let mut parts = path.rsplit("/namespaces/").next().unwrap_or_default().split('/').skip(1);
        let (resource, _, sub) = (parts.next().unwrap_or(path), parts.next(), parts.next());
        let sub = sub.map(|sub| format!("/{sub}")).unwrap_or_default();
        let more = if resource == "events" {
            let event: Value = serde_json::from_slice(&self.body).unwrap_or_default();
            format!(" {}", event["reason"].as_str().unwrap_or_default())
        } else if self.is_watch() {
            " watch".to_owned()
        } else {
            String::new()
        };
        format!("{method} {resource}{sub}{more}")
    }
}
