//! `kafka broker-api-versions`: which APIs each broker offers.

use std::fmt::Write as _;

use kafka_protocol::messages::ApiKey;

use crate::client::config::Settings;
use crate::client::metadata::{AutoCreate, Broker, Topics};
use crate::client::{Client, Config, Versions};
use crate::console;
use crate::failure::{Failure, Outcome};
use crate::options::Parser;
use crate::{runtime, text};

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = Parser::new()
        .text(
            "bootstrap-server",
            "server(s) to use for bootstrapping",
            "One or more brokers, as host:port,host:port.",
        )
        .text(
            "command-config",
            "command config property file",
            "A properties file with settings for the connection to the brokers.",
        );
    let options = parser
        .parse(words)
        .map_err(|error| Failure::usage(&parser, error))?;
    if options.is_empty() || options.has("help") {
        let purpose = "This tool helps to retrieve broker version information.";
        return Err(Failure::usage(&parser, purpose));
    }
    if options.has("version") {
        console::say(text::version());
        return Ok(());
    }
    options
        .require(&["bootstrap-server"])
        .map_err(|error| Failure::usage(&parser, error))?;
    let mut settings = match options.text("command-config") {
        Some(path) => Settings::load(path).map_err(Failure::new)?,
        None => Settings::default(),
    };
    settings.set(
        "bootstrap.servers",
        options.text("bootstrap-server").unwrap_or_default(),
    );
    let config = Config::from_settings(&settings, "AdminClient", "admin").map_err(Failure::new)?;
    runtime::block_on(print_all(Client::new(config)))
}

async fn print_all(client: Client) -> Outcome {
    let asked = client
        .retrying("findAllBrokers", async || {
            client.refresh(Topics::Named(&[]), AutoCreate::Never).await
        })
        .await;
    asked.map_err(Failure::new)?;
    for broker in client.brokers() {
        let answer = match client.versions(&broker.endpoint).await {
            Ok(versions) => table(&versions),
            Err(error) => format!("ERROR: {}: {error}", error.class()),
        };
        console::say(format_args!("{} -> {answer}", node(&broker)));
    }
    Ok(())
}

fn node(broker: &Broker) -> String {
    let rack = broker.rack.as_deref().unwrap_or("null");
    format!("{} (id: {} rack: {rack})", broker.endpoint, broker.id)
}

/// All APIs by key: those offered, and those of ours that are not.
fn table(versions: &Versions) -> String {
    let mut text = String::from("(\n\t");
    let mut lines = Vec::new();
    for key in 0..=i16::from(u8::MAX) {
        let api = ApiKey::try_from(key).ok();
        match (versions.get(&key), api) {
            (Some(range), api) => lines.push(offered(key, api, range.min, range.max)),
            (None, Some(api)) if is_for_clients(api) => {
                lines.push(format!("{}({key}): UNSUPPORTED", name(api)));
            }
            (None, _) => {}
        }
    }
    let _ = write!(text, "{}\n)", lines.join(",\n\t"));
    text
}

fn offered(key: i16, api: Option<ApiKey>, min: i16, max: i16) -> String {
    let range = match min == max {
        true => min.to_string(),
        false => format!("{min} to {max}"),
    };
    let Some(api) = api else {
        return match between_brokers(key) {
            Some(name) => format!("{name}({key}): {range} [usable: {max}]"),
            None => format!("UNKNOWN({key}): {range}"),
        };
    };
    let ours = api.valid_versions();
    let usable = if ours.max < min {
        "unusable: node too new".to_owned()
    } else if max < ours.min {
        "unusable: node too old".to_owned()
    } else {
        format!("usable: {}", ours.max.min(max))
    };
    format!("{}({key}): {range} [{usable}]", name(api))
}

/// The spelling of Kafka 3.9.
fn name(api: ApiKey) -> String {
    match api {
        ApiKey::ListConfigResources => "ListClientMetricsResources".to_owned(),
        api => format!("{api:?}"),
    }
}

/// The requests of the controller, which only brokers send.
fn between_brokers(key: i16) -> Option<&'static str> {
    match key {
        4 => Some("LeaderAndIsr"),
        5 => Some("StopReplica"),
        6 => Some("UpdateMetadata"),
        7 => Some("ControlledShutdown"),
        _ => None,
    }
}

/// Whether a client of Kafka 3.9 may miss the API when it is not offered.
fn is_for_clients(api: ApiKey) -> bool {
    let key = api as i16;
    !matches!(key, 52..=54 | 56 | 58 | 59 | 62 | 63 | 67 | 70 | 73 | 82 | 88..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::VersionRange;

    #[test]
    fn lines_as_kafka_prints_them() {
        let range = |min, max| VersionRange { min, max };
        let versions = [
            (0, range(0, 9)),
            (6, range(0, 8)),
            (18, range(4, 4)),
            (250, range(0, 1)),
        ];
        let text = table(&versions.into_iter().collect());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "(",
                "\tProduce(0): 0 to 9 [usable: 9],",
                "\tFetch(1): UNSUPPORTED,"
            ]
        );
        assert!(
            lines.contains(&"\tUpdateMetadata(6): 0 to 8 [usable: 8],"),
            "{text}"
        );
        assert!(
            lines.contains(&"\tApiVersions(18): 4 [usable: 4],"),
            "{text}"
        );
        assert_eq!(lines[lines.len() - 2..], ["\tUNKNOWN(250): 0 to 1", ")"]);
    }

    #[test]
    fn versions_that_do_not_meet_are_unusable() {
        assert!(offered(0, Some(ApiKey::Produce), 0, 2).ends_with("[unusable: node too old]"));
        assert!(offered(0, Some(ApiKey::Produce), 99, 100).ends_with("[unusable: node too new]"));
    }
}
