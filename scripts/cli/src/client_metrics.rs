//! `kafka client-metrics`: subscriptions to the metrics of clients (KIP-714), which
//! only clusters without ZooKeeper have; others say so.

use kafka_protocol::messages::{ApiKey, ListConfigResourcesRequest};
use uuid::Uuid;

use crate::client::configs::{Kind, Resource};
use crate::client::metadata::{AutoCreate, Topics};
use crate::client::{Client, Error, Lane};
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::{admin, console, runtime, text};

const PURPOSE: &str = "This tool helps to manipulate and describe client metrics configurations.";
const ACTIONS: [&str; 4] = ["alter", "delete", "describe", "list"];
const LOGGER: &str = "org.apache.kafka.tools.ClientMetricsCommand";
const ILLEGAL: &str = "java.lang.IllegalArgumentException";

fn parser() -> Parser {
    Parser::new()
        .text(
            "bootstrap-server",
            "server to connect to",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text(
            "command-config",
            "command config property file",
            "A properties file with settings for the connection to the brokers.",
        )
        .flag("alter", "Change a subscription, or make it.")
        .flag("delete", "Take back all settings of a subscription.")
        .flag("describe", "Show the settings of subscriptions.")
        .flag("list", "List the subscriptions.")
        .text("name", "name", "The subscription.")
        .flag("generate-name", "Name the new subscription with an id.")
        .int(
            "interval",
            "push interval",
            "How often clients push, in milliseconds.",
        )
        .text(
            "match",
            "k1=v1,k2=v2",
            "Which clients: client_id, client_instance_id, client_software_name, client_software_version, client_source_address, client_source_port, each with a pattern.",
        )
        .text("metrics", "m1,m2", "Beginnings of the names of metrics.")
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = parser();
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    check(&options, &parser)?;
    let interval = options.i32("interval").map_err(Failure::new)?;
    let client = admin::client(&options, "command-config").map_err(Failure::new)?;
    runtime::block_on(async {
        let done = match options {
            _ if options.has("alter") => alter(&client, &options, interval).await,
            _ if options.has("describe") => describe(&client, options.text("name")).await,
            _ if options.has("delete") => {
                delete(&client, options.text("name").unwrap_or_default()).await
            }
            _ => list(&client)
                .await
                .map(|names| console::say(names.join("\n"))),
        };
        done.map_err(|error| {
            console::say(format_args!(
                "Error while executing client metrics command : {error}"
            ));
            console::error(format_args!("{}: {error}", error.class()), LOGGER);
            Failure::told()
        })
    })
}

fn check(options: &Options, parser: &Parser) -> Outcome {
    if ACTIONS.iter().filter(|action| options.has(action)).count() != 1 {
        return Err(Failure::usage(
            parser,
            "Command must include exactly one action: --alter, --delete, --describe or --list.",
        ));
    }
    let illegal = |message| Err(admin::thrown(ILLEGAL, message));
    if !options.has("bootstrap-server") {
        return illegal("--bootstrap-server must be specified.");
    }
    let settings = ["generate-name", "interval", "match", "metrics"];
    let unwanted: [(&'static str, &[&'static str]); 3] = [
        ("delete", &settings),
        ("describe", &settings),
        (
            "list",
            &["name", "generate-name", "interval", "match", "metrics"],
        ),
    ];
    for (action, others) in unwanted {
        let conflict = options.forbid(action, others);
        conflict.map_err(|error| Failure::usage(parser, error))?;
    }
    let is_named = options.has("name");
    if options.has("alter") && is_named == options.has("generate-name") {
        return illegal("One of --name or --generate-name must be specified with --alter.");
    }
    if options.has("delete") && !is_named {
        return illegal("A client metrics resource name must be specified with --delete.");
    }
    Ok(())
}

fn resource(name: &str) -> Resource {
    Resource {
        kind: Kind::ClientMetrics,
        name: name.to_owned(),
    }
}

async fn alter(client: &Client, options: &Options, interval: Option<i32>) -> Result<(), Error> {
    let generated = || text::topic_id(Uuid::new_v4());
    let name = options.text("name").map_or_else(generated, str::to_owned);
    let interval = interval.map(|ms| ("interval.ms", ms.to_string()));
    let joined = |option: &'static str| {
        options
            .has(option)
            .then(|| (option, options.all(option).join(",")))
    };
    let wanted = [interval, joined("metrics"), joined("match")];
    // An empty value takes the setting back.
    let changes: Vec<_> = wanted
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            (
                key.to_owned(),
                Some(value).filter(|value| !value.is_empty()),
            )
        })
        .collect();
    client.alter_resource(&resource(&name), &changes).await?;
    console::say(format_args!("Altered client metrics config for {name}."));
    Ok(())
}

async fn delete(client: &Client, name: &str) -> Result<(), Error> {
    let resource = resource(name);
    let entries = client.describe_resource(&resource, false).await?;
    let changes: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry.name, None))
        .collect();
    client.alter_resource(&resource, &changes).await?;
    console::say(format_args!("Deleted client metrics config for {name}."));
    Ok(())
}

async fn describe(client: &Client, name: Option<&str>) -> Result<(), Error> {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => list(client).await?,
    };
    for name in names {
        console::say(format_args!("Client metrics configs for {name} are:"));
        for entry in client.describe_resource(&resource(&name), false).await? {
            let value = entry.value.as_deref().unwrap_or("null");
            console::say(format_args!("  {}={value}", entry.name));
        }
    }
    Ok(())
}

async fn list(client: &Client) -> Result<Vec<String>, Error> {
    let answer = client.retrying("listClientMetricsResources", async || {
        if client.brokers().is_empty() {
            client
                .refresh(Topics::Named(&[]), AutoCreate::Never)
                .await?;
        }
        let broker = client.any_broker()?;
        if !client
            .versions(&broker)
            .await?
            .contains_key(&(ApiKey::ListConfigResources as i16))
        {
            return Err(Error::Unsupported(
                "LIST_CLIENT_METRICS_RESOURCES".to_owned(),
            ));
        }
        let request = |_| ListConfigResourcesRequest::default();
        client.call(&broker, Lane::Control, request).await
    });
    let answer = answer.await?;
    Error::check(answer.error_code, None)?;
    let found = answer.config_resources.into_iter();
    Ok(found.map(|each| each.resource_name.to_string()).collect())
}
