//! The metrics in Prometheus' text form.
//!
//! **Invariant:** names and kinds are those of ZooKeeper's PrometheusMetricsProvider.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Shared;
use crate::metrics::{Level, Reading, Snapshot};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(admin): State<Shared>) -> impl IntoResponse {
    let mut readings = admin.server.monitor();
    // What ZooKeeper does not show there, and operators of this server need.
    let (zxid, sessions) = admin
        .server
        .pipeline
        .with_state(|state| (state.zxid, state.sessions.len()));
    readings.push(("last_processed_zxid", Reading::Whole(zxid)));
    let sessions = i64::try_from(sessions).unwrap_or(i64::MAX);
    readings.push(("sessions_kept", Reading::Whole(sessions)));
    let stall_ms = u64::try_from(admin.server.stall_ms()).unwrap_or(0);
    readings.push(("process_stall_ms", Reading::Count(stall_ms)));
    let stats = &admin.server.stats;
    for (name, counter) in [
        ("requests_beyond_maxbuffer", &stats.large_requests),
        ("replies_beyond_maxbuffer", &stats.large_replies),
    ] {
        readings.push((name, Reading::Count(counter.get())));
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], render(&readings))
}

fn render(readings: &[(&str, Reading)]) -> String {
    let mut text = String::new();
    for (name, reading) in readings {
        // Writing to a String does not fail.
        let _ =
            match reading {
                Reading::Whole(value) => {
                    family(&mut text, name, "gauge").and_then(|()| writeln!(text, "{name} {value}"))
                }
                Reading::Fraction(value) => family(&mut text, name, "gauge")
                    .and_then(|()| writeln!(text, "{name} {value:?}")),
                Reading::Count(value) => family(&mut text, name, "counter")
                    .and_then(|()| writeln!(text, "{name} {value}")),
                Reading::Summary(values) => summary(&mut text, name, values),
            };
    }
    text
}

fn family(text: &mut String, name: &str, kind: &str) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {name}\n# TYPE {name} {kind}")
}

fn summary(text: &mut String, name: &str, values: &Snapshot) -> std::fmt::Result {
    family(text, name, "summary")?;
    let quantiles: &[f64] = match values.level() {
        Level::Advanced => &[0.5, 0.9, 0.99],
        Level::Basic => &[0.5],
    };
    for share in quantiles {
        match values.quantile(*share) {
            Some(value) => writeln!(text, "{name}{{quantile=\"{share}\",}} {value:?}")?,
            None => writeln!(text, "{name}{{quantile=\"{share}\",}} NaN")?,
        }
    }
    writeln!(text, "{name}_count {}", values.count())?;
    writeln!(text, "{name}_sum {:?}", values.sum())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn each_kind_has_the_form_that_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.readlatency.add_time(Duration::from_micros(250));
        let readings = [
            ("znode_count", Reading::Whole(5)),
            ("avg_latency", Reading::Fraction(0.0)),
            ("connection_rejected", Reading::Count(2)),
            ("readlatency", Reading::Summary(metrics.readlatency.read())),
            ("fsynctime", Reading::Summary(metrics.fsynctime.read())),
            (
                "updatelatency",
                Reading::Summary(metrics.updatelatency.read()),
            ),
        ];
        let text = render(&readings);
        for part in [
            "# TYPE znode_count gauge\nznode_count 5\n",
            "\navg_latency 0.0\n",
            "# TYPE connection_rejected counter\nconnection_rejected 2\n",
            "# TYPE readlatency summary\nreadlatency{quantile=\"0.5\",} 0.25\n",
            "readlatency_count 1\nreadlatency_sum 0.25\n",
            "fsynctime{quantile=\"0.5\",} NaN\nfsynctime_count 0\n",
            "updatelatency{quantile=\"0.99\",} NaN\n",
        ] {
            assert!(text.contains(part), "{part}\nis missing in\n{text}");
        }
    }
}
