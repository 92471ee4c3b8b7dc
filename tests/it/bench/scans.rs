//! Scans that find nothing new: the product's registry shell, in this process, beside a bare client that sends the same requests to
//! the same registry, past the proxy, reads the answers and does nothing with them.

use std::time::{Duration, Instant};

use futures::StreamExt;
use tagboat::registry::{Access, Limits, Registry};

use super::images::{Images, client, versions};
use super::table::{Row, Table, Times};
use super::wire::Wire;
use super::{SOON, Sizes, progress};
use crate::support::registry;

/// Tags of each repository.
const TAGS: usize = 50;
/// Scans of each repository in a round.
const PASSES: usize = 10;
/// Rounds that are not measured, and in which our share of the registry grows.
const WARM: usize = 2;
/// How many scans ours does at least while the bare client does 100.
const GOAL: f64 = 90.0;

pub async fn run(sizes: Sizes, table: &mut Table) {
    progress("unchanged scans");
    registry().await;
    let images = Images::new().await;
    let repositories: Vec<String> = (0..sizes.scanned).map(|n| format!("bench/scanned-{n}")).collect();
    images.fill(&repositories, &versions(TAGS)).await;
    for in_flight in [1, 8] {
        let bench = Bench::new(&images.url, &repositories, in_flight);
        bench.row(sizes.scan_rounds + WARM, table).await;
        // Counted apart, as the way there costs time.
        let wire = Wire::to(&images.url).await;
        let bench = Bench::new(&wire.url, &repositories, in_flight);
        let (_, floor) = (bench.round(&bench.urls, |url| bench.bare(url)).await, wire.connections());
        bench.round(&bench.accesses, |access| bench.scan(access, false)).await;
        let ours = wire.connections() - floor;
        let title = format!("connections for {} scans, {in_flight} in flight", PASSES * repositories.len());
        table.detail(title, vec![format!("{ours}"), format!("floor {floor}")]);
    }
}

struct Bench {
    client: reqwest::Client,
    urls: Vec<String>,
    registry: Registry,
    accesses: Vec<Access>,
    in_flight: usize,
}

/// What one side took for its scans: the time of each in every round, and the processor's.
#[derive(Default)]
struct Side {
    times: Vec<Duration>,
    cpu: Duration,
}

impl Side {
    fn add(&mut self, (time, cpu): (Duration, Duration)) {
        self.times.push(time);
        self.cpu += cpu;
    }
}

impl Bench {
    fn new(url: &str, repositories: &[String], in_flight: usize) -> Self {
        let host = url.trim_start_matches("http://");
        let access = |name: &String| {
            let repository = format!("{host}/{name}").parse().unwrap();
            Access { insecure: true, ..Access::new(repository) }
        };
        Self {
            client: client(),
            urls: repositories.iter().map(|name| format!("{url}/v2/{name}/tags/list?n=1000")).collect(),
            registry: Registry::new("bench", Limits::default()),
            accesses: repositories.iter().map(access).collect(),
            in_flight,
        }
    }

    /// Both take turns.
    async fn row(&self, rounds: usize, table: &mut Table) {
        let (mut floor, mut ours) = (Side::default(), Side::default());
        let before = self.registry.requests();
        for round in 0..rounds {
            let is_measured = round >= WARM;
            let floor_round = self.round(&self.urls, |url| self.bare(url)).await;
            let our_round = self.round(&self.accesses, |access| self.scan(access, is_measured)).await;
            if is_measured {
                floor.add(floor_round);
                ours.add(our_round);
            }
        }
        let requests = usize::try_from(self.registry.requests() - before).unwrap();
        // Fewer when a scan had to wait for another one of its repository, which it shares then.
        let is_one = requests <= rounds * PASSES * self.accesses.len();
        let scans = (rounds - WARM) * PASSES * self.accesses.len();
        let (floor_times, our_times) = (Times::new(&floor.times, 0), Times::new(&ours.times, 0));
        let a_second = |times: &Times| 1.0 / times.median().as_secs_f64();
        let percent = 100.0 * a_second(&our_times) / a_second(&floor_times);
        let micros = |side: &Side| side.cpu.as_micros() / scans as u128;
        let counts = format!(
            "{:.0} scans/s, {percent:.0} % of the floor's {:.0}; CPU {} µs a scan, floor {} µs; {} a scan",
            a_second(&our_times),
            a_second(&floor_times),
            micros(&ours),
            micros(&floor),
            if is_one { "1 request".to_owned() } else { format!("{requests} requests in all, not 1") },
        );
        let what =
            format!("unchanged scan of {TAGS} tags, {} repositories, {} in flight", self.urls.len(), self.in_flight);
        let row = Row::new(what).times(floor_times, our_times).counts(counts);
        let row = row.goal(format!("≥ {GOAL:.0} % of the floor's scans"), percent >= GOAL);
        table.add(row.goal("1 request a scan", is_one));
    }

    /// Time for each scan, and the processor's for all of them.
    async fn round<'b, T, F: Future<Output = ()>>(
        &self,
        all: &'b [T],
        one: impl Fn(&'b T) -> F,
    ) -> (Duration, Duration) {
        let (cpu, begin) = (cpu(), Instant::now());
        let scans = (0..PASSES).flat_map(|_| all.iter().map(&one));
        futures::stream::iter(scans).buffer_unordered(self.in_flight).collect::<()>().await;
        let time = begin.elapsed() / u32::try_from(PASSES * all.len()).unwrap();
        (time, self::cpu().saturating_sub(cpu))
    }

    async fn bare(&self, url: &str) {
        let answer = self.client.get(url).header("accept", "application/json").send().await.unwrap();
        assert!(answer.error_for_status().unwrap().bytes().await.unwrap().len() > TAGS);
    }

    async fn scan(&self, access: &Access, is_known: bool) {
        let tags = self.registry.tags(access, Duration::ZERO, SOON).await.unwrap();
        assert!(tags.tags.len() == TAGS && (tags.unchanged || !is_known));
    }
}

/// The processor time of all threads of this process, to the nanosecond.
fn cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let times = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
    Duration::from_nanos(times.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum())
}
