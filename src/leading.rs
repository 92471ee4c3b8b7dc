//! Which of several replicas works: the one that holds the Lease. The others keep their watches warm and wait.
//!
//! 1. read the Lease (cluster)  2. whose turn is it? (pure)  3. write it, only on the version that was read  4. renew until told to
//!    stop, or until a renewal is overdue: then this process ends, before another one may begin
//!
//! The Lease saves work and keeps logs readable. What keeps two writers from harm is elsewhere: a push succeeds only on the head
//! that was read, and the same decision is the same commit.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::cluster::{Cluster, Error};
use crate::lease::{self, Candidate, Step};

/// How long one look at the Lease may take, the write included.
const LOOK: Duration = Duration::from_secs(3);

/// Which Lease, and by which name.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// This process, by a name that no other has.
    pub candidate: String,
}

/// Waits for the lead, says so through `leads`, and keeps it until `stop`.
///
/// # Errors
/// When the lead is lost: this process must end.
pub async fn lead(
    seat: &Seat,
    cluster: &Cluster,
    leads: &watch::Sender<bool>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut candidate = Candidate::new(seat.candidate.clone());
    let keep = async {
        let begun = win(seat, cluster, &mut candidate).await;
        tracing::info!(lease = seat.lease, name = seat.candidate, "leads");
        leads.send_replace(true);
        hold(seat, cluster, &mut candidate, begun).await
    };
    stop.run_until_cancelled(keep).await.unwrap_or(Ok(()))
}

/// Tries until the lead is ours; returns a time before it was.
async fn win(seat: &Seat, cluster: &Cluster, candidate: &mut Candidate) -> std::time::Instant {
    let mut leader = None;
    loop {
        let asked = clock::now().steady;
        match look(seat, cluster, candidate).await {
            Ok(None) => return asked,
            Ok(holder) if holder == leader => {}
            Ok(holder) => {
                tracing::info!(lease = seat.lease, leader = holder, "waits for the lead");
                leader = holder;
            }
            Err(error) => tracing::warn!(lease = seat.lease, "can't ask for the lead: {error}"),
        }
        clock::pause(lease::PERIOD).await;
    }
}

/// Renews; ends when the lead is lost.
async fn hold(
    seat: &Seat,
    cluster: &Cluster,
    candidate: &mut Candidate,
    mut renewed: std::time::Instant,
) -> anyhow::Result<()> {
    loop {
        let left = clock::now().until(Some(renewed), lease::DEADLINE);
        let again = async {
            clock::pause(lease::PERIOD).await;
            // The time before the request: the others count from when the server took it.
            (clock::now().steady, look(seat, cluster, candidate).await)
        };
        match tokio::time::timeout(left, again).await {
            Ok((asked, Ok(None))) => renewed = asked,
            Ok((_, Ok(Some(leader)))) => anyhow::bail!("lost the lead to {leader}"),
            Ok((_, Err(error))) => tracing::warn!(lease = seat.lease, "the lead was not renewed: {error}"),
            Err(_) => anyhow::bail!("lost the lead: it was not renewed for {} s", lease::DEADLINE.as_secs()),
        }
    }
}

/// Gives the lead back if it is ours, so that the next one need not wait. Only for when nothing works any more.
pub async fn release(seat: &Seat, cluster: &Cluster) {
    let place = (seat.namespace.as_str(), seat.lease.as_str());
    let released = async {
        let Some(found) = cluster.lease(place).await? else { return Ok(false) };
        let is_ours = found.claim.holder == seat.candidate;
        Ok(is_ours && cluster.write_lease(place, Some(&found), &found.claim.released(), clock::now().wall).await?)
    };
    match within(released).await {
        Ok(true) => tracing::info!(lease = seat.lease, "gave the lead back"),
        Ok(false) => {}
        Err(error) => tracing::warn!(lease = seat.lease, "the lead was not given back: {error}"),
    }
}

/// One look at the Lease, and one write if it is our turn. Who leads, if it isn't us.
async fn look(seat: &Seat, cluster: &Cluster, candidate: &mut Candidate) -> Result<Option<String>, Error> {
    let place = (seat.namespace.as_str(), seat.lease.as_str());
    within(async {
        let found = cluster.lease(place).await?;
        let claim = match candidate.step(found.clone(), clock::now().steady) {
            Step::Write(claim) => claim,
            Step::Wait { holder } => return Ok(Some(holder)),
        };
        match cluster.write_lease(place, found.as_ref(), &claim, clock::now().wall).await? {
            true => Ok(None),
            false => Err(Error::Unavailable("somebody else wrote the Lease at the same time".to_owned())),
        }
    })
    .await
}

async fn within<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let in_time = tokio::time::timeout(LOOK, asked).await;
    in_time.unwrap_or_else(|_| Err(Error::Unavailable(format!("no answer within {} s", LOOK.as_secs()))))
}
