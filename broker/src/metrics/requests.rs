//! How many requests of each kind and version were answered, and how long it took.

use std::time::Duration;

use super::tally::Cells;

/// Upper bounds of the buckets of times, in ms.
pub const BUCKETS_MS: [f64; 15] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 5_000.0,
    30_000.0,
];
const BUCKETS_US: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000, 30_000_000,
];
/// Behind the buckets: what is beyond them, and the sum of all.
const BEYOND: usize = BUCKETS_US.len();
const SUM_US: usize = BEYOND + 1;
const TIMES: usize = SUM_US + 1;

/// Requests that are counted together, by version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// As Kafka names them.
    pub name: String,
    pub oldest: i16,
    pub newest: i16,
}

/// One version of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Of the account.
    account: u16,
    /// Of the counter.
    index: u16,
}

impl Kind {
    /// For a place that keeps kinds as numbers; see [`Kind::from_number`].
    #[must_use]
    pub fn number(self) -> u32 {
        u32::from(self.account) << 16 | u32::from(self.index)
    }

    #[must_use]
    pub fn from_number(number: u32) -> Self {
        Self {
            account: u16::try_from(number >> 16).unwrap_or(u16::MAX),
            index: u16::try_from(number & 0xffff).unwrap_or(u16::MAX),
        }
    }
}

/// What the answers of one account took.
#[derive(Debug, Clone, PartialEq)]
pub struct Times<'a> {
    pub name: &'a str,
    /// In each bucket and beyond the last.
    pub buckets: Vec<u64>,
    pub sum_ms: f64,
}

/// The counters of all accounts.
#[derive(Debug)]
pub struct Requests {
    accounts: Vec<Account>,
    /// Where the counters of each account begin.
    starts: Vec<u16>,
    counts: Cells,
    times: Cells,
}

impl Requests {
    pub(super) fn new(accounts: Vec<Account>) -> Self {
        let mut starts = Vec::with_capacity(accounts.len());
        let mut count = 0_u16;
        for account in &accounts {
            starts.push(count);
            count += versions(account);
        }
        Self {
            counts: Cells::new(usize::from(count)),
            times: Cells::new(accounts.len() * TIMES),
            accounts,
            starts,
        }
    }

    /// The kind of a request of this account, if its version is served.
    #[must_use]
    pub fn kind(&self, account: usize, version: i16) -> Option<Kind> {
        let Account { oldest, newest, .. } = self.accounts.get(account)?;
        if !(oldest..=newest).contains(&&version) {
            return None;
        }
        let at = u16::try_from(version - oldest).ok()?;
        Some(Kind {
            account: u16::try_from(account).ok()?,
            index: self.starts.get(account)? + at,
        })
    }

    /// A request was answered.
    pub fn served(&self, kind: Kind, took: Duration) {
        self.counts.add(usize::from(kind.index), 1);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.iter().position(|bound| us <= *bound);
        let first = usize::from(kind.account) * TIMES;
        self.times.add(first + bucket.unwrap_or(BEYOND), 1);
        self.times.add(first + SUM_US, us);
    }

    /// Account, version and count of what was answered so far.
    pub fn counts(&self) -> impl Iterator<Item = (&str, i16, u64)> {
        let accounts = self.accounts.iter().zip(&self.starts);
        accounts.flat_map(move |(account, start)| {
            (0..versions(account)).filter_map(move |at| {
                let count = self.counts.sum(usize::from(start + at));
                let version = account.oldest + i16::try_from(at).unwrap_or(0);
                (count > 0).then_some((account.name.as_str(), version, count))
            })
        })
    }

    /// The times of the accounts that anything was answered of.
    pub fn times(&self) -> impl Iterator<Item = Times<'_>> {
        let accounts = self.accounts.iter().enumerate();
        accounts.filter_map(|(at, account)| {
            let first = at * TIMES;
            let buckets: Vec<u64> = (0..=BEYOND).map(|b| self.times.sum(first + b)).collect();
            let is_any = buckets.iter().any(|count| *count > 0);
            is_any.then(|| Times {
                name: &account.name,
                buckets,
                sum_ms: self.times.sum(first + SUM_US) as f64 / 1_000.0,
            })
        })
    }
}

fn versions(account: &Account) -> u16 {
    u16::try_from(account.newest - account.oldest + 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, oldest: i16, newest: i16) -> Account {
        Account {
            name: name.to_owned(),
            oldest,
            newest,
        }
    }

    #[test]
    fn requests_are_counted_by_version_and_timed_by_account() {
        let requests = Requests::new(vec![account("Produce", 0, 13), account("Fetch", 4, 18)]);
        assert_eq!(requests.kind(1, 3), None, "not served");
        assert_eq!(requests.kind(2, 0), None, "no such account");
        for (account, version, us) in [(0, 13, 99), (0, 13, 100), (0, 3, 101), (1, 4, 40_000_000)] {
            let kind = requests.kind(account, version).unwrap();
            assert_eq!(Kind::from_number(kind.number()), kind);
            requests.served(kind, Duration::from_micros(us));
        }
        let counts: Vec<_> = requests.counts().collect();
        assert_eq!(
            counts,
            [("Produce", 3, 1), ("Produce", 13, 2), ("Fetch", 4, 1)]
        );
        let times: Vec<_> = requests.times().collect();
        assert_eq!((times[0].buckets[0], times[0].buckets[1]), (2, 1));
        assert!((times[0].sum_ms - 0.3).abs() < 1e-9);
        assert_eq!((times[1].name, times[1].buckets[BEYOND]), ("Fetch", 1));
    }
}
