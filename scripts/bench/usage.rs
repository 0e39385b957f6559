//! What a process has used, as the kernel tells it: every load program measures the
//! server that it loads, and itself.

use anyhow::{Context, Result};
use clap::Args;

/// Clock ticks of `/proc/*/stat` in a second; Linux has no other value.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time and resident memory of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    pub(crate) rss_mb: f64,
}

/// The options of a run that is measured.
#[derive(Debug, Args)]
pub(crate) struct Measured {
    /// Makes the names of what is created differ from those of other runs.
    #[arg(long, default_value_t = 0)]
    pub(crate) run: u64,
    /// The server's process, whose CPU time and memory are to be read.
    #[arg(long)]
    pid: Option<u32>,
}

impl Measured {
    /// What the server has used so far; nothing without its process.
    pub(crate) fn server(&self) -> Result<Usage> {
        let pid = self.pid.map(|pid| pid.to_string());
        pid.map_or(Ok(Usage::default()), |pid| Usage::of(&pid))
    }
}

impl Usage {
    /// That of this program.
    pub(crate) fn own() -> Result<Self> {
        Self::of("self")
    }

    fn of(process: &str) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> Result<f64> {
            Ok(fields.get(index).context("stat is short")?.parse()?)
        };
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|value| value.split_whitespace().next());
        Ok(Self {
            cpu_s: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
            rss_mb: rss.context("no VmRSS")?.parse::<f64>()? * 1024.0 / 1e6,
        })
    }
}
