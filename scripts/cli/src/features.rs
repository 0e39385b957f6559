//! `kafka features`: which features brokers support, and the levels in use.

use std::collections::BTreeMap;

use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{ApiVersionsRequest, UpdateFeaturesRequest};
use kafka_protocol::protocol::StrBytes;

use crate::client::metadata::{AutoCreate, Topics};
use crate::client::{Client, Error, Lane};
use crate::failure::{Failure, Outcome};
use crate::options::commands::Grammar;
use crate::options::{Options, Parser};
use crate::{admin, bootstrap, console, runtime};

const COMMANDS: [&str; 4] = ["describe", "upgrade", "downgrade", "disable"];
const METADATA: &str = "metadata.version";
const NO_EPOCH: i64 = -1;
const TIMEOUT_MS: i32 = 60_000;
const TOOL: Grammar = Grammar {
    program: "kafka-features",
    usage: "usage: kafka-features [-h] [--command-config COMMAND_CONFIG]
                      (--bootstrap-server BOOTSTRAP_SERVER |
                      --bootstrap-controller BOOTSTRAP_CONTROLLER)
                      {describe,upgrade,downgrade,disable} ...",
    purpose: "This tool manages feature flags in Kafka.",
    letters: &[],
};

/// The levels of `metadata.version` and the releases that brought them, from level 1
/// on, as far as Kafka 3.9 knows them.
const LEVELS: [&str; 23] = [
    "3.0-IV1", "3.1-IV0", "3.2-IV0", "3.3-IV0", "3.3-IV1", "3.3-IV2", "3.3-IV3", "3.4-IV0",
    "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0", "3.7-IV1",
    "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1",
];
/// The first level that a cluster can be made with, and the newest that is released.
const OLDEST_LEVEL: usize = 4;
const NEWEST_LEVEL: usize = 21;

/// How levels may change, by their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Upgrade = 1,
    SafeDowngrade = 2,
    UnsafeDowngrade = 3,
}

fn general() -> Parser {
    bootstrap::with_options(Parser::new(), "command-config", "COMMAND_CONFIG")
}

/// The options of a command, and how it is used.
fn of_command(command: &str) -> (Grammar, Parser) {
    let feature = |parser: Parser| {
        parser
            .text(
                "feature",
                "FEATURE",
                "The feature, as name=level; may be repeated.",
            )
            .flag("dry-run", "Say whether it could be done, and do nothing.")
    };
    let metadata = |parser: Parser| {
        parser.text(
            "metadata",
            "METADATA",
            "The version of metadata, such as 3.3-IV3.",
        )
    };
    let safety =
        |parser: Parser| parser.flag("unsafe", "Do it even if metadata may be lost for good.");
    let (usage, parser) = match command {
        "upgrade" => (
            "usage: kafka-features (--bootstrap-server BOOTSTRAP_SERVER |
                      --bootstrap-controller BOOTSTRAP_CONTROLLER) upgrade
                      [-h] [--metadata METADATA] [--feature FEATURE]
                      [--dry-run]",
            metadata(feature(Parser::new())),
        ),
        "downgrade" => (
            "usage: kafka-features (--bootstrap-server BOOTSTRAP_SERVER |
                      --bootstrap-controller BOOTSTRAP_CONTROLLER) downgrade
                      [-h] [--metadata METADATA] [--feature FEATURE]
                      [--unsafe] [--dry-run]",
            safety(metadata(feature(Parser::new()))),
        ),
        "disable" => (
            "usage: kafka-features (--bootstrap-server BOOTSTRAP_SERVER |
                      --bootstrap-controller BOOTSTRAP_CONTROLLER) disable
                      [-h] [--feature FEATURE] [--unsafe] [--dry-run]",
            safety(feature(Parser::new())),
        ),
        _ => (
            "usage: kafka-features (--bootstrap-server BOOTSTRAP_SERVER |
                      --bootstrap-controller BOOTSTRAP_CONTROLLER) describe
                      [-h]",
            Parser::new(),
        ),
    };
    (Grammar { usage, ..TOOL }, parser)
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let cut = TOOL.cut(words, &COMMANDS, &general())?;
    let before = TOOL.parse(cut.before, &general())?;
    let (grammar, parser) = of_command(cut.command);
    let options = grammar.parse(cut.after, &parser)?;
    let settings = bootstrap::settings(&TOOL, &before, "command-config", &[])?;
    let client = admin::connect(&settings).map_err(Failure::new)?;
    match cut.command {
        "describe" => runtime::block_on(describe(&client)),
        command => {
            let levels = levels(command, &options).map_err(Failure::new)?;
            if levels.is_empty() {
                return Err(Failure::new(format!(
                    "You must specify at least one feature to {command}"
                )));
            }
            let change = match command {
                "upgrade" => Change::Upgrade,
                _ if options.has("unsafe") => Change::UnsafeDowngrade,
                _ => Change::SafeDowngrade,
            };
            let update = Update {
                command,
                change,
                is_dry: options.has("dry-run"),
                levels,
            };
            runtime::block_on(async { update.send(&client).await })
        }
    }
}

/// What the options ask for: features and their levels.
fn levels(command: &str, options: &Options) -> Result<BTreeMap<String, i16>, String> {
    let mut levels = BTreeMap::new();
    // Disabling knows no metadata, and a feature is named alone.
    if let Some(version) = options.all("metadata").last() {
        // A release stands for its last step.
        let of_release = |known: &&str| {
            known
                .split_once('-')
                .is_some_and(|(release, _)| release == *version)
        };
        let place = LEVELS
            .iter()
            .rposition(|known| known == version || of_release(known));
        let level = place.and_then(|place| i16::try_from(place + 1).ok());
        let level = level.ok_or_else(|| {
            let supported = &LEVELS[OLDEST_LEVEL - 1..NEWEST_LEVEL];
            format!(
                "Unsupported metadata.version {version}. Supported metadata.version are {}",
                supported.join(", ")
            )
        })?;
        levels.insert(METADATA.to_owned(), level);
    }
    for written in options.all("feature") {
        let (name, level) = match command {
            "disable" => (written, 0),
            _ => name_and_level(written)?,
        };
        if levels.insert(name.to_owned(), level).is_some() {
            return Err(format!("Feature {name} was specified more than once."));
        }
    }
    Ok(levels)
}

fn name_and_level(written: &str) -> Result<(&str, i16), String> {
    let wrong = |why: String| format!("Can't parse feature=level string {written}: {why}");
    let pair = written.split_once('=');
    let (name, level) = pair.ok_or_else(|| wrong("equals sign not found.".to_owned()))?;
    let (name, level) = (name.trim(), level.trim());
    let number = level.parse();
    let number = number.map_err(|_| wrong(format!("unable to parse {level} as a short.")))?;
    Ok((name, number))
}

async fn describe(client: &Client) -> Outcome {
    let asked = client.retrying("describeFeatures", async || {
        if client.brokers().is_empty() {
            client
                .refresh(Topics::Named(&[]), AutoCreate::Never)
                .await?;
        }
        let broker = client.any_broker()?;
        let request = |_| {
            ApiVersionsRequest::default()
                .with_client_software_name(StrBytes::from_static_str("odradek"))
                .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")))
        };
        let answer = client.call(&broker, Lane::Control, request).await?;
        Error::check(answer.error_code, None)?;
        Ok(answer)
    });
    let answer = asked.await.map_err(failed)?;
    let epoch = match answer.finalized_features_epoch {
        NO_EPOCH => "-".to_owned(),
        epoch => epoch.to_string(),
    };
    let mut supported = answer.supported_features;
    supported.sort_by(|a, b| a.name.cmp(&b.name));
    for range in supported {
        let name = range.name.as_str();
        let mut finalized = answer.finalized_features.iter();
        let finalized = finalized.find(|finalized| finalized.name == range.name);
        let finalized = finalized.map_or(0, |finalized| finalized.max_version_level);
        console::say(format_args!(
            "Feature: {name}\tSupportedMinVersion: {}\tSupportedMaxVersion: {}\tFinalizedVersionLevel: {}\tEpoch: {epoch}",
            shown(name, range.min_version),
            shown(name, range.max_version),
            shown(name, finalized),
        ));
    }
    Ok(())
}

/// A level as people know it.
fn shown(feature: &str, level: i16) -> String {
    if feature != METADATA {
        return level.to_string();
    }
    let place = usize::try_from(level)
        .ok()
        .and_then(|level| level.checked_sub(1));
    let known = place.and_then(|place| LEVELS.get(place));
    known.map_or_else(|| format!("UNKNOWN {level}"), |known| (*known).to_owned())
}

/// Levels to be set.
struct Update<'a> {
    command: &'a str,
    change: Change,
    is_dry: bool,
    levels: BTreeMap<String, i16>,
}

impl Update<'_> {
    async fn send(self, client: &Client) -> Outcome {
        let outcomes = self.outcomes(client).await?;
        let mut failures = 0;
        for (feature, level) in &self.levels {
            let error = outcomes.get(feature).and_then(Option::as_ref);
            failures += usize::from(error.is_some());
            console::say(self.line(feature, *level, error));
        }
        match failures {
            0 => Ok(()),
            _ => Err(Failure::new(format!(
                "{failures} out of {} operation(s) failed.",
                self.levels.len()
            ))),
        }
    }

    fn line(&self, feature: &str, level: i16, error: Option<&String>) -> String {
        let disables = self.command == "disable";
        match error {
            Some(error) => {
                let helper = if self.is_dry { "Can not" } else { "Could not" };
                let what = match disables {
                    true => format!("disable {feature}"),
                    false => format!("{} {feature} to {level}", self.command),
                };
                format!("{helper} {what}. {error}")
            }
            None => {
                let verb = if self.is_dry { "can be" } else { "was" };
                match disables {
                    true => format!("{feature} {verb} disabled."),
                    false => format!("{feature} {verb} {}d to {level}.", self.command),
                }
            }
        }
    }

    /// What became of each feature: `None` where all went well.
    async fn outcomes(&self, client: &Client) -> Result<BTreeMap<String, Option<String>>, Failure> {
        let asked = client.retrying("updateFeatures", async || {
            client
                .refresh(Topics::Named(&[]), AutoCreate::Never)
                .await?;
            let controller = client.controller()?;
            let updates = |version: i16| {
                let of = |(feature, level): (&String, &i16)| {
                    let key = FeatureUpdateKey::default()
                        .with_feature(StrBytes::from_string(feature.clone()))
                        .with_max_version_level(*level);
                    match version >= 1 {
                        true => key.with_upgrade_type(self.change as i8),
                        false => key.with_allow_downgrade(self.change != Change::Upgrade),
                    }
                };
                self.levels.iter().map(of).collect()
            };
            let request = |version| {
                UpdateFeaturesRequest::default()
                    .with_timeout_ms(TIMEOUT_MS)
                    .with_feature_updates(updates(version))
                    .with_validate_only(self.is_dry && version >= 1)
            };
            let answer = client.call(&controller, Lane::Control, request).await?;
            let code = kafka_protocol::error::ResponseError::try_from_code(answer.error_code);
            match code {
                Some(error) if error.is_retriable() => Err(Error::check(
                    answer.error_code,
                    answer.error_message.as_deref(),
                )
                .expect_err("the code is none of success")),
                _ => Ok(answer),
            }
        });
        let text = |code, message: Option<&str>| {
            let checked = Error::check(code, message);
            checked.err().map(|error| error.to_string())
        };
        let answer = match asked.await {
            Ok(answer) => answer,
            Err(error) => {
                let told = |feature: &String| (feature.clone(), Some(error.to_string()));
                return Ok(self.levels.keys().map(told).collect());
            }
        };
        let of_all = text(answer.error_code, answer.error_message.as_deref());
        if of_all.is_some() || answer.results.is_empty() {
            let told = |feature: &String| (feature.clone(), of_all.clone());
            return Ok(self.levels.keys().map(told).collect());
        }
        let told = answer.results.iter().map(|result| {
            let told = text(result.error_code, result.error_message.as_deref());
            (result.feature.to_string(), told)
        });
        Ok(told.collect())
    }
}

fn failed(error: Error) -> Failure {
    Failure::new(format!("{}: {error}", error.class()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(command: &str, line: &str) -> Result<BTreeMap<String, i16>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (grammar, parser) = of_command(command);
        levels(command, &grammar.parse(&words, &parser).unwrap())
    }

    #[test]
    fn features_and_levels_are_read() {
        let found = asked("upgrade", "--metadata 3.9-IV0 --feature kraft.version=1").unwrap();
        assert_eq!(found["metadata.version"], 21);
        assert_eq!(
            asked("upgrade", "--metadata 3.7").unwrap()["metadata.version"],
            19
        );
        assert_eq!(found["kraft.version"], 1);
        assert_eq!(asked("disable", "--feature a").unwrap()["a"], 0);
        for (line, told) in [
            (
                "--feature a",
                "Can't parse feature=level string a: equals sign not found.",
            ),
            (
                "--feature a=b",
                "Can't parse feature=level string a=b: unable to parse b as a short.",
            ),
            (
                "--feature a=1 --feature a=2",
                "Feature a was specified more than once.",
            ),
        ] {
            assert_eq!(asked("upgrade", line).unwrap_err(), told);
        }
        let unknown = asked("upgrade", "--metadata 9.9").unwrap_err();
        assert!(unknown.starts_with(
            "Unsupported metadata.version 9.9. Supported metadata.version are 3.3-IV0, "
        ));
        assert!(unknown.ends_with(", 3.9-IV0"));
    }

    #[test]
    fn levels_of_metadata_have_names() {
        for (level, name) in [
            (1, "3.0-IV1"),
            (21, "3.9-IV0"),
            (0, "UNKNOWN 0"),
            (99, "UNKNOWN 99"),
        ] {
            assert_eq!(shown(METADATA, level), name);
        }
        assert_eq!(shown("group.version", 1), "1");
    }
}
