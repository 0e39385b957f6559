//! Prometheus metrics: the library's types and their text form.

use std::fmt;

use prometheus_client::collector::Collector;
pub use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;
pub use prometheus_client::registry::Registry;

/// What a `/metrics` answer declares its body to be.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of `registry` as text.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)
        .expect("writing to a String does not fail");
    text
}

/// What tells the samples of one metric apart.
pub type Labels = Vec<(&'static str, String)>;

/// One distribution of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper bound of each bucket and how many fell into it, not into those below;
    /// the last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
}

/// Numbers that are looked up when they are asked for, and kept nowhere.
#[derive(Debug, Default)]
pub struct Page {
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Samples,
}

#[derive(Debug)]
enum Samples {
    Gauges(Vec<(Labels, i64)>),
    Fraction(f64),
    Counters(Vec<(Labels, u64)>),
    Histograms(Vec<(Labels, Distribution)>),
}

impl Page {
    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: impl TryInto<i64>) {
        let value = value.try_into().unwrap_or(i64::MAX);
        self.gauges(name, help, [(Labels::new(), value)]);
    }

    pub fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, i64)>,
    ) {
        self.push(name, help, Samples::Gauges(samples.into_iter().collect()));
    }

    pub fn fraction(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.push(name, help, Samples::Fraction(value));
    }

    /// A number that only grows; `_total` is added to its name.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.counters(name, help, [(Labels::new(), value)]);
    }

    pub fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        self.push(name, help, Samples::Counters(samples.into_iter().collect()));
    }

    pub fn histograms(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Distribution)>,
    ) {
        let samples = Samples::Histograms(samples.into_iter().collect());
        self.push(name, help, samples);
    }

    fn push(&mut self, name: &'static str, help: &'static str, samples: Samples) {
        self.metrics.push(Metric {
            name,
            help,
            samples,
        });
    }

    /// All of it as text.
    #[must_use]
    pub fn render(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        // A sample without labels beside others: the library writes empty braces.
        render(&registry).replace("_total{} ", "_total ")
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Metric {
            name,
            help,
            samples,
        } in &self.metrics
        {
            let kind = match samples {
                Samples::Gauges(_) | Samples::Fraction(_) => MetricType::Gauge,
                Samples::Counters(_) => MetricType::Counter,
                Samples::Histograms(_) => MetricType::Histogram,
            };
            let encoder = encoder.encode_descriptor(name, help, None, kind)?;
            samples.encode(encoder)?;
        }
        Ok(())
    }
}

impl Samples {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            Self::Fraction(value) => ConstGauge::new(*value).encode(encoder),
            Self::Gauges(samples) => each(encoder, samples, |value, encoder| {
                ConstGauge::new(*value).encode(encoder)
            }),
            Self::Counters(samples) => each(encoder, samples, |value, encoder| {
                ConstCounter::new(*value).encode(encoder)
            }),
            Self::Histograms(samples) => each(encoder, samples, |distribution, mut encoder| {
                let Distribution { buckets, sum } = distribution;
                let count = buckets.iter().map(|(_, count)| count).sum();
                encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
            }),
        }
    }
}

/// Encodes samples, the only one of a metric without braces that hold nothing.
fn each<T>(
    mut encoder: MetricEncoder<'_>,
    samples: &[(Labels, T)],
    encode: impl Fn(&T, MetricEncoder<'_>) -> Result<(), fmt::Error>,
) -> Result<(), fmt::Error> {
    match samples {
        [(labels, value)] if labels.is_empty() => encode(value, encoder),
        _ => {
            for (labels, value) in samples {
                encode(value, encoder.encode_family(labels)?)?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.gauge("level", "How high", 7_usize);
        page.counters(
            "bytes_in",
            "By topic",
            [(Labels::new(), 4), (vec![("topic", "a\"b".to_owned())], 3)],
        );
        let buckets = vec![(1.0, 2), (5.0, 1), (f64::INFINITY, 1)];
        let distribution = Distribution { buckets, sum: 12.5 };
        page.histograms("took", "Times", [(Labels::new(), distribution)]);
        let text = page.render();
        for line in [
            "level 7",
            "# TYPE bytes_in counter",
            "bytes_in_total 4",
            "bytes_in_total{topic=\"a\\\"b\"} 3",
            "took_sum 12.5",
            "took_count 4",
            "took_bucket{le=\"5.0\"} 3",
            "took_bucket{le=\"+Inf\"} 4",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
