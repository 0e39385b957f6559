//! `kafka delete-records`: deletes the records before given offsets.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::client::consumer::TopicPartition;
use crate::failure::{Failure, Outcome};
use crate::options::Parser;
use crate::{admin, console, json, runtime};

const PURPOSE: &str =
    "This tool helps to delete records of the given partitions down to the specified offset.";

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = Parser::new()
        .text(
            "bootstrap-server",
            "server(s) to use for bootstrapping",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text(
            "offset-json-file",
            "Offset json file path",
            "REQUIRED: The file with an offset per partition: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"offset\": 1}], \"version\": 1}",
        )
        .text(
            "command-config",
            "command config property file path",
            "A properties file with settings for the connection to the brokers.",
        );
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    options
        .require(&["bootstrap-server", "offset-json-file"])
        .map_err(|error| Failure::usage(&parser, error))?;
    let client = admin::client(&options, "command-config").map_err(Failure::new)?;
    let path = options.text("offset-json-file").unwrap_or_default();
    let offsets = json::read(path)
        .map_err(|error| error.to_string())
        .and_then(|text| parse(&text))
        .map_err(Failure::new)?;
    runtime::block_on(async {
        delete(&client, &offsets).await;
        Ok(())
    })
}

/// The offsets in the file; a partition may stand there once.
fn parse(text: &str) -> Result<BTreeMap<TopicPartition, i64>, String> {
    let parsed = || {
        let value = json::parse(text, "The input string is not a valid JSON")?;
        if value.get("partitions").is_none() {
            return Err(json::Error::Invalid("Missing partitions field"));
        }
        json::list(&value, "partitions")?
            .iter()
            .map(|of| {
                let at = (json::text(of, "topic")?, json::i32(of, "partition")?);
                Ok((at, json::i64(of, "offset")?))
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let listed = parsed().map_err(|error| error.to_string())?;
    let mut offsets = BTreeMap::new();
    let mut duplicates = Vec::new();
    for (at, offset) in listed {
        let name = format!("{}-{}", at.0, at.1);
        if offsets.insert(at, offset).is_some() && !duplicates.contains(&name) {
            duplicates.push(name);
        }
    }
    match duplicates.is_empty() {
        true => Ok(offsets),
        false => Err(format!(
            "Offset json file contains duplicate topic partitions: {}",
            duplicates.join(",")
        )),
    }
}

/// A partition that fails is told in its line, and does not fail the command.
async fn delete(client: &Client, offsets: &BTreeMap<TopicPartition, i64>) {
    console::say("Executing records delete operation");
    let mut results = Vec::new();
    for ((topic, partition), offset) in offsets {
        let result = client.delete_records(topic, *partition, *offset).await;
        results.push((format!("{topic}-{partition}"), result));
    }
    console::say("Records delete operation completed:");
    for (name, result) in results {
        match result {
            Ok(start) => {
                console::say(format_args!("partition: {name}\tlow_watermark: {start}"));
            }
            Err(error) => console::say(format_args!(
                "partition: {name}\terror: {}: {error}",
                error.class()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn offsets_are_read_once_per_partition() {
        let line = r#"{"topic":"a","partition":0,"offset":3}"#;
        let one = parse(&format!(r#"{{"partitions":[{line}],"version":1}}"#)).unwrap();
        assert_eq!(
            one.into_iter().collect::<Vec<_>>(),
            [(("a".to_owned(), 0), 3)]
        );
        for (text, refusal) in [
            ("{", "The input string is not a valid JSON"),
            ("{}", "Missing partitions field"),
            (r#"{"version":7}"#, "Not supported version field value 7"),
            (
                &format!(r#"{{"partitions":[{line},{line},{line}]}}"#),
                "Offset json file contains duplicate topic partitions: a-0",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), refusal);
        }
    }
}
