//! Requests that were answered, and how long it took.

use std::collections::BTreeMap;

use common::metrics::{Distribution, Labels, Page};

use crate::metrics::{BUCKETS_MS, Requests};

/// Fetches of both kinds are shown under this name as well.
const FETCHES: [&str; 2] = ["FetchConsumer", "FetchFollower"];
const FETCH: &str = "Fetch";

pub(super) fn write(page: &mut Page, requests: &Requests) {
    let mut counts: BTreeMap<(&str, i16), u64> = BTreeMap::new();
    for (name, version, count) in requests.counts() {
        counts.insert((name, version), count);
        if FETCHES.contains(&name) {
            *counts.entry((FETCH, version)).or_default() += count;
        }
    }
    let counts = counts.into_iter().map(|((name, version), count)| {
        let mut labels = of_request(name);
        labels.push(("version", version.to_string()));
        (labels, count)
    });
    page.counters(
        "kafka_network_requestmetrics_requests",
        "Requests that were answered, by API and version",
        counts,
    );
    let bounds = || BUCKETS_MS.into_iter().chain([f64::INFINITY]);
    let nothing = || Distribution {
        buckets: bounds().map(|bound| (bound, 0)).collect(),
        sum: 0.0,
    };
    let mut times: BTreeMap<&str, Distribution> = BTreeMap::new();
    for taken in requests.times() {
        let of_both = FETCHES.contains(&taken.name).then_some(FETCH);
        for name in of_both.into_iter().chain([taken.name]) {
            let all = times.entry(name).or_insert_with(nothing);
            all.sum += taken.sum_ms;
            for (bucket, count) in all.buckets.iter_mut().zip(&taken.buckets) {
                bucket.1 += count;
            }
        }
    }
    page.histograms(
        "kafka_network_requestmetrics_totaltimems",
        "From the arrival of a request to its answer, in ms, with all waiting",
        times.into_iter().map(|(name, all)| (of_request(name), all)),
    );
}

fn of_request(name: &str) -> Labels {
    vec![("request", name.to_owned())]
}
