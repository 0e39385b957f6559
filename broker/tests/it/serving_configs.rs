//! Configurations of topics and brokers, changed while a broker runs.

use futures::FutureExt;
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as OldResource, AlterableConfig as OldConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, ApiVersionsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
};

use crate::support::eventually;
use crate::support::serving::{Client, Site, batch, text};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

const UNKNOWN_SERVER_ERROR: i16 = -1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;

const OF_TOPIC: i8 = 1;
const OF_BROKER: i8 = 2;
const OF_ALL_BROKERS: i8 = 3;
const BY_DEFAULT: i8 = 5;

type Edit<'a> = (i8, &'a str, Option<&'a str>);

fn edits(kind: i8, name: &str, edits: &[Edit<'_>]) -> AlterConfigsResource {
    let configs = edits.iter().map(|(operation, key, value)| {
        AlterableConfig::default()
            .with_config_operation(*operation)
            .with_name(text(key))
            .with_value(value.map(text))
    });
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect())
}

/// Code and message of one resource's change.
async fn edit(
    client: &mut Client,
    kind: i8,
    name: &str,
    list: &[Edit<'_>],
) -> (i16, Option<String>) {
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(vec![edits(kind, name, list)]);
    let response = client.call(1, &request).await;
    let result = &response.responses[0];
    assert_eq!(result.resource_name.as_str(), name);
    let message = result.error_message.as_ref().map(ToString::to_string);
    (result.error_code, message)
}

async fn set(client: &mut Client, kind: i8, name: &str, key: &str, value: &str) {
    let done = edit(client, kind, name, &[(SET, key, Some(value))]).await;
    assert_eq!(done, (0, None), "{key}={value}");
}

async fn replace(
    client: &mut Client,
    topic: &str,
    pairs: &[(&str, &str)],
    validate_only: bool,
) -> i16 {
    let configs = pairs.iter().map(|(key, value)| {
        OldConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    });
    let resource = OldResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(configs.collect());
    let request = AlterConfigsRequest::default()
        .with_resources(vec![resource])
        .with_validate_only(validate_only);
    client.call(2, &request).await.responses[0].error_code
}

async fn describe(
    client: &mut Client,
    kind: i8,
    name: &str,
    key: Option<&str>,
) -> Vec<DescribeConfigsResourceResult> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(key.map(|key| vec![text(key)]));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let mut response = client.call(4, &request).await;
    assert_eq!(response.results[0].error_code, 0, "{response:?}");
    std::mem::take(&mut response.results[0].configs)
}

/// Value and source of one key.
async fn described(client: &mut Client, kind: i8, name: &str, key: &str) -> (String, i8) {
    let found = describe(client, kind, name, Some(key)).await;
    let Some(entry) = found.first() else {
        return (String::new(), 0);
    };
    let value = entry.value.as_ref().map(ToString::to_string);
    (value.unwrap_or_default(), entry.config_source)
}

async fn until_described(
    broker: &crate::support::serving::Broker,
    kind: i8,
    name: &str,
    key: &str,
    expected: (&str, i8),
) {
    eventually("the change is in effect", || async {
        let found = described(&mut broker.client().await, kind, name, key).await;
        (found.0.as_str(), found.1) == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_topic_follows_its_new_configuration() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("t", 1).await;
    let large = "x".repeat(5000);
    assert_eq!(client.produce("t", -1, batch(&[&large])).await.0, 0);
    set(&mut client, TOPIC, "t", "max.message.bytes", "1000").await;
    eventually("large batches are refused", || async {
        let mut client = broker.client().await;
        client.produce("t", -1, batch(&[&large])).await.0 == MESSAGE_TOO_LARGE
    })
    .await;
    let key = "max.message.bytes";
    let found = described(&mut client, TOPIC, "t", key).await;
    assert_eq!(found, ("1000".to_owned(), OF_TOPIC));

    let policy = [(APPEND, "cleanup.policy", Some("compact"))];
    assert_eq!(edit(&mut client, TOPIC, "t", &policy).await.0, 0);
    let found = described(&mut client, TOPIC, "t", "cleanup.policy").await;
    assert_eq!(found, ("delete,compact".to_owned(), OF_TOPIC));

    // The old API replaces the whole, unless it only asks.
    let rest = [("retention.ms", "777")];
    assert_eq!(replace(&mut client, "t", &rest, true).await, 0);
    let found = described(&mut client, TOPIC, "t", key).await;
    assert_eq!(found, ("1000".to_owned(), OF_TOPIC));
    assert_eq!(replace(&mut client, "t", &rest, false).await, 0);
    let found = described(&mut client, TOPIC, "t", key).await;
    assert_eq!(found, ("1048588".to_owned(), BY_DEFAULT));
    eventually("large batches are taken again", || async {
        let mut client = broker.client().await;
        client.produce("t", -1, batch(&[&large])).await.0 == 0
    })
    .await;
    let gone = [(DELETE, "retention.ms", None)];
    assert_eq!(edit(&mut client, TOPIC, "t", &gone).await.0, 0);
    let found = described(&mut client, TOPIC, "t", "retention.ms").await;
    assert_eq!(found, ("604800000".to_owned(), BY_DEFAULT));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn illegal_changes_are_refused_in_kafkas_words() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("t", 1).await;
    let of_t = "Invalid config value for resource ConfigResource(type=TOPIC, name='t'): ";
    let not_a_number = format!(
        "{of_t}Invalid value abc for configuration retention.ms: Not a number of type LONG"
    );
    let table: &[(i8, &str, Edit<'_>, i16, Option<&str>)] = &[
        (
            TOPIC,
            "t",
            (SET, "retention.ms", Some("abc")),
            INVALID_CONFIG,
            Some(&not_a_number),
        ),
        (
            TOPIC,
            "t",
            (SET, "nonsense", Some("1")),
            INVALID_CONFIG,
            Some("Unknown topic config name: nonsense"),
        ),
        (
            TOPIC,
            "t",
            (APPEND, "nonsense", Some("1")),
            UNKNOWN_SERVER_ERROR,
            None,
        ),
        (
            TOPIC,
            "t",
            (SET, "retention.ms", None),
            INVALID_REQUEST,
            Some("Null value not supported for : retention.ms"),
        ),
        (
            TOPIC,
            "none",
            (SET, "retention.ms", Some("1")),
            UNKNOWN_TOPIC_OR_PARTITION,
            Some("The topic 'none' does not exist."),
        ),
        (
            BROKER,
            "7",
            (SET, "log.retention.ms", Some("1")),
            INVALID_REQUEST,
            Some("Unexpected broker id, expected 1, but received 7"),
        ),
        (
            BROKER,
            "",
            (SET, "broker.rack", Some("x")),
            INVALID_REQUEST,
            Some("Cannot update these configs dynamically: Set(broker.rack)"),
        ),
        (
            BROKER,
            "1",
            (SET, "sasl.jaas.config", Some("x")),
            INVALID_CONFIG,
            Some(
                "Invalid config value for resource ConfigResource(type=BROKER, name='1'): \
                 Password encoder secret not configured",
            ),
        ),
        (
            BROKER_LOGGER,
            "1",
            (SET, "kafka.server", Some("DEBUG")),
            INVALID_CONFIG,
            Some("Logger kafka.server does not exist!"),
        ),
    ];
    for (kind, name, change, code, message) in table {
        let (found, text) = edit(&mut client, *kind, name, &[*change]).await;
        assert_eq!(
            (found, text.as_deref()),
            (*code, *message),
            "{name} {change:?}"
        );
    }
    let same = edits(TOPIC, "t", &[(SET, "retention.ms", Some("1"))]);
    let twice = IncrementalAlterConfigsRequest::default().with_resources(vec![same.clone(), same]);
    let answer = client.call(0, &twice).await;
    assert!(
        answer
            .responses
            .iter()
            .all(|r| r.error_code == INVALID_REQUEST)
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brokers_layers_take_effect_and_outlive_a_restart() {
    let site = Site::new().await;
    let broker = site.broker(&[("message.max.bytes", "900000")]).await;
    let mut client = broker.client().await;
    client.create_topic("t", 1).await;
    let key = "message.max.bytes";
    let large = "x".repeat(5000);
    set(&mut client, BROKER, "", key, "1000").await;
    until_described(&broker, BROKER, "1", key, ("1000", OF_ALL_BROKERS)).await;
    eventually("large batches are refused", || async {
        let mut client = broker.client().await;
        client.produce("t", -1, batch(&[&large])).await.0 == MESSAGE_TOO_LARGE
    })
    .await;
    set(&mut client, BROKER, "1", key, "800000").await;
    until_described(&broker, BROKER, "1", key, ("800000", OF_BROKER)).await;
    eventually("the broker's own layer wins", || async {
        let mut client = broker.client().await;
        client.produce("t", -1, batch(&[&large])).await.0 == 0
    })
    .await;
    let entry = describe(&mut client, BROKER, "1", Some(key))
        .await
        .remove(0);
    let synonyms = entry.synonyms.iter();
    let synonyms: Vec<_> = synonyms
        .map(|s| (s.source, s.value.as_deref().unwrap_or_default()))
        .collect();
    let expected = [
        (2, "800000"),
        (3, "1000"),
        (4, "900000"),
        (BY_DEFAULT, "1048588"),
    ];
    assert_eq!(synonyms, expected);
    let common = describe(&mut client, BROKER, "", None).await;
    assert_eq!(common.len(), 1);
    assert_eq!(common[0].value.as_deref(), Some("1000"));

    // What nobody knows is kept, and shown without its value.
    set(&mut client, BROKER, "1", "custom.key", "secret").await;
    until_described(&broker, BROKER, "1", "custom.key", ("", OF_BROKER)).await;
    broker.stop().await;
    let broker = site.broker(&[(key, "900000")]).await;
    let mut client = broker.client().await;
    let found = described(&mut client, BROKER, "1", key).await;
    assert_eq!(found, ("800000".to_owned(), OF_BROKER));
    let found = described(&mut client, TOPIC, "t", "max.message.bytes").await;
    assert_eq!(found, ("800000".to_owned(), OF_BROKER));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broker_key_of_kafka_is_described() {
    const OURS: usize = 5;
    // Of 314 keys Kafka does not show one, which is its own.
    const KAFKAS: usize = 313;
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    let all = describe(&mut client, BROKER, "1", None).await;
    assert_eq!(all.len(), KAFKAS + OURS);
    assert!(all.iter().all(|entry| entry.documentation.is_some()));
    let entry = |name: &str| {
        all.iter()
            .find(|entry| entry.name.as_str() == name)
            .unwrap()
    };
    const PASSWORD: i8 = 9;
    let secret = entry("ssl.key.password");
    assert!(secret.is_sensitive && secret.value.is_none());
    assert_eq!(secret.config_type, PASSWORD);
    assert!(!entry("message.max.bytes").read_only);
    assert!(entry("broker.rack").read_only);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_has_bounds_of_its_own_from_the_start_and_changed() {
    let listeners = "PLAINTEXT://127.0.0.1:0,SMALL://127.0.0.1:0";
    let key = "listener.name.small.max.connections";
    let site = Site::new().await;
    let broker = site
        .broker(&[
            ("listeners", listeners),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,SMALL:PLAINTEXT",
            ),
            (key, "1"),
        ])
        .await;
    let small = broker.ports.iter().find(|(name, _)| name == "SMALL");
    let small = small.unwrap().1;
    let ask = ApiVersionsRequest::default();
    let mut first = Client::connect(small).await;
    first.call(0, &ask).await;
    // The kernel takes it; the broker does not while there is the first.
    let mut second = Client::connect(small).await;
    let asked = second.send(0, &ask).await;
    let mut others = broker.client().await;
    for _ in 0..20 {
        others.call(0, &ask).await;
    }
    assert!(second.answer().now_or_never().is_none(), "it waits");
    drop(first);
    second.receive::<ApiVersionsRequest>(0, asked).await;
    let mut third = Client::connect(small).await;
    let asked = third.send(0, &ask).await;
    let changed = edit(&mut others, BROKER, "1", &[(SET, key, Some("2"))]).await;
    assert_eq!(changed, (0, None));
    third.receive::<ApiVersionsRequest>(0, asked).await;
    let nobody = edit(&mut others, BROKER, "1", &[(SET, key, Some("0"))]).await;
    assert_eq!(nobody.0, INVALID_REQUEST, "{nobody:?}");
    broker.stop().await;
}
