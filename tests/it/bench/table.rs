//! The table that is printed at the end, and the arithmetic of its numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::support::cluster::audit::ApiRequest;

/// One line.
#[derive(Debug, Default)]
pub struct Row {
    what: String,
    floor: Option<Times>,
    ours: Option<Times>,
    counts: String,
    memory: String,
    goals: Vec<(String, bool)>,
}

impl Row {
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    pub fn times(mut self, floor: Times, ours: Times) -> Self {
        (self.floor, self.ours) = (Some(floor), Some(ours));
        self
    }

    /// Where nothing else could be measured beside it.
    pub fn ours(mut self, ours: Times) -> Self {
        self.ours = Some(ours);
        self
    }

    pub fn counts(mut self, counts: impl Into<String>) -> Self {
        self.counts = counts.into();
        self
    }

    pub fn memory(mut self, memory: impl Into<String>) -> Self {
        self.memory = memory.into();
        self
    }

    pub fn goal(mut self, goal: impl Into<String>, is_met: bool) -> Self {
        self.goals.push((goal.into(), is_met));
        self
    }

    fn cells(&self) -> [String; 7] {
        let show = |times: &Option<Times>| times.as_ref().map_or("–".to_owned(), Times::to_string);
        let ratio = match (&self.floor, &self.ours) {
            (Some(floor), Some(ours)) => format!("{:.1}×", ours.median().as_secs_f64() / floor.median().as_secs_f64()),
            _ => "–".to_owned(),
        };
        let goals: Vec<String> = self
            .goals
            .iter()
            .map(|(goal, is_met)| format!("{goal}: {}", if *is_met { "met" } else { "WORSE" }))
            .collect();
        let [what, counts, memory] = [&self.what, &self.counts, &self.memory].map(Clone::clone);
        [what, show(&self.floor), show(&self.ours), ratio, counts, memory, goals.join(", ")]
    }
}

/// Durations of the same thing, several times.
#[derive(Debug, Clone, Default)]
pub struct Times {
    sorted: Vec<Duration>,
    shows_tail: bool,
}

impl Times {
    /// The first `warm` of them are left out.
    pub fn new(times: &[Duration], warm: usize) -> Self {
        let mut sorted = times[warm.min(times.len() - 1)..].to_vec();
        sorted.sort();
        Self { sorted, shows_tail: false }
    }

    /// Shows p99 too.
    pub fn with_tail(self) -> Self {
        Self { shows_tail: true, ..self }
    }

    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// The slowest but for one in a hundred.
    pub fn tail(&self) -> Duration {
        self.quantile(0.99)
    }

    fn quantile(&self, quantile: f64) -> Duration {
        let last = self.sorted.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "small"
        )]
        let index = (last as f64 * quantile).round() as usize;
        self.sorted[index]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", show(self.median()))?;
        if self.shows_tail {
            write!(f, " (p99 {})", show(self.tail()))?;
        }
        Ok(())
    }
}

fn show(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1e3),
    }
}

/// Mebibytes.
pub fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// A number per each of `of`, with one decimal where it has any.
pub fn per(count: usize, of: usize) -> String {
    if count.is_multiple_of(of) { (count / of).to_string() } else { format!("{:.2}", count as f64 / of as f64) }
}

/// Lines such as `4.00 patch configmaps`, per each of `of`; the most frequent first.
pub fn counted(requests: &[ApiRequest], of: usize) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests {
        let place = if request.resource.is_empty() { &request.uri } else { &request.resource };
        let name = format!("{} {place}/{}", request.verb, request.subresource);
        let code = if request.code < 400 { String::new() } else { format!(" → {}", request.code) };
        *counts.entry(format!("{}{code}", name.trim_end_matches('/'))).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(name, count)| format!("{} {name}", per(count, of))).collect()
}

/// All lines, and what explains them.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    details: Vec<(String, Vec<String>)>,
}

impl Table {
    pub fn add(&mut self, row: Row) {
        eprintln!("bench: {}", row.cells().join(" | "));
        self.rows.push(row);
    }

    /// Printed below the table.
    pub fn detail(&mut self, title: String, lines: Vec<String>) {
        eprintln!("bench: {title}: {}", lines.join(", "));
        self.details.push((title, lines));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "floor", "ours", "ratio", "counts of ours", "peak memory", "goal"].map(str::to_owned);
        let rows: Vec<[String; 7]> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..7).map(width).collect();
        for (number, row) in rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
            if number == 0 {
                let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                writeln!(f, "| {} |", rules.join(" | "))?;
            }
        }
        for (title, lines) in &self.details {
            writeln!(f, "\n{title}: {}", if lines.is_empty() { "none".to_owned() } else { lines.join(", ") })?;
        }
        let worse: Vec<String> = self
            .rows
            .iter()
            .flat_map(|row| {
                row.goals.iter().filter(|(_, is_met)| !is_met).map(|(goal, _)| format!("{} ({goal})", row.what))
            })
            .collect();
        write!(f, "\nworse than wanted: {}", if worse.is_empty() { "nothing".to_owned() } else { worse.join("; ") })
    }
}
