//! What the records of `__consumer_offsets` and `__transaction_state` say.
//!
//! Flow: a record's key names its kind → the fields of that kind and version →
//! JSON for groups, Kafka's own notation for transactions.
//!
//! **Invariant:** bytes that are not what they should be are told with the
//! record's offset, and the next record is read all the same.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use broker::record::Record;
use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::Decodable;
use serde_json::{Map, Value, json};

use super::classes::{self, Class};
use super::fields::{Error, Fields};

/// The newest versions that are known.
const OFFSET_KEY_MAX: i16 = 1;
const GROUP_KEY: i16 = 2;
const GROUP_VALUES_MAX: i16 = 4;
const TXN_VALUES_MAX: i16 = 1;
const EMBEDDED_MAX: i16 = 3;
/// From here on the values have compact lengths and tagged fields.
const GROUP_FLEXIBLE: i16 = 4;
const TXN_FLEXIBLE: i16 = 1;
const DELETED: &str = "<DELETE>";

/// How keys and values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    Classes { key: Class, value: Class },
    Offsets,
    Transactions,
}

impl Decoder {
    /// The text of a record's key and of its value.
    pub(super) fn decode(self, record: &Record) -> Result<Texts, classes::Error> {
        let skipped = |why: &str| {
            Some(format!(
                "Error at offset {}, skipping. {why}",
                record.offset
            ))
        };
        let decoded = match (self, &record.key) {
            (Self::Classes { key, value }, _) => {
                return Ok((
                    key.decode(record.key.as_ref())?,
                    value.decode(record.value.as_ref())?,
                ));
            }
            (_, None) => return Ok((skipped("The message has no key."), None)),
            (Self::Offsets, Some(key)) => of_group(key.clone(), record),
            (Self::Transactions, Some(key)) => of_transaction(key.clone(), record.value.clone()),
        };
        Ok(decoded.unwrap_or_else(|error| (skipped(&error.to_string()), None)))
    }
}

/// What is shown of a key and of a value.
type Texts = (Option<String>, Option<String>);
type Decoded = Result<Texts, Error>;

fn of_group(mut key: Bytes, record: &Record) -> Decoded {
    let kind = version(&mut key, "key")?;
    let name = match kind {
        0..=OFFSET_KEY_MAX => within(kind, "key", offset_key(Fields::new(key, false))),
        GROUP_KEY => within(kind, "key", group_key(Fields::new(key, false))),
        other => {
            let at = record.offset;
            let told = format!("Unknown record type {other} at offset {at}, skipping.");
            return Ok((Some(told), None));
        }
    }?;
    let name = json!({ "type": kind.to_string(), "data": name }).to_string();
    let Some(mut value) = record.value.clone() else {
        return Ok((Some(name), Some(DELETED.to_owned())));
    };
    let version = version(&mut value, "value")?;
    let data = match version {
        0..=GROUP_VALUES_MAX => {
            let fields = Fields::new(value, version >= GROUP_FLEXIBLE);
            match kind {
                GROUP_KEY => group_value(fields, version),
                _ => offset_value(fields, version),
            }
        }
        _ => Err(Error::Version(version)),
    };
    let data = within(version, "value", data)?;
    let value = json!({ "version": version.to_string(), "data": data }).to_string();
    Ok((Some(name), Some(value)))
}

fn version(bytes: &mut Bytes, of: &'static str) -> Result<i16, Error> {
    bytes.try_get_i16().map_err(|_| Error::NoVersion(of))
}

/// Says in which part something was wrong.
fn within<T>(version: i16, part: &'static str, read: Result<T, Error>) -> Result<T, Error> {
    read.map_err(|error| Error::Within {
        version,
        part,
        source: Box::new(error),
    })
}

fn offset_key(mut fields: Fields) -> Result<Value, Error> {
    Ok(json!({
        "group": fields.text()?,
        "topic": fields.text()?,
        "partition": fields.i32()?,
    }))
}

fn group_key(mut fields: Fields) -> Result<Value, Error> {
    Ok(json!({ "group": fields.text()? }))
}

fn offset_value(mut fields: Fields, version: i16) -> Result<Value, Error> {
    let mut data = Map::new();
    data.insert("offset".to_owned(), fields.i64()?.into());
    if version >= 3 {
        data.insert("leaderEpoch".to_owned(), fields.i32()?.into());
    }
    data.insert("metadata".to_owned(), fields.text()?.into());
    data.insert("commitTimestamp".to_owned(), fields.i64()?.into());
    if version == 1 {
        data.insert("expireTimestamp".to_owned(), fields.i64()?.into());
    }
    Ok(data.into())
}

fn group_value(mut fields: Fields, version: i16) -> Result<Value, Error> {
    let mut data = Map::new();
    let protocol_type = fields.text()?;
    data.insert("protocolType".to_owned(), protocol_type.clone().into());
    data.insert("generation".to_owned(), fields.i32()?.into());
    data.insert("protocol".to_owned(), fields.maybe_text()?.into());
    data.insert("leader".to_owned(), fields.maybe_text()?.into());
    if version >= 2 {
        data.insert("currentStateTimestamp".to_owned(), fields.i64()?.into());
    }
    let is_consumer = protocol_type == "consumer";
    let members = fields.list(|fields| member(fields, version, is_consumer))?;
    data.insert("members".to_owned(), members.unwrap_or_default().into());
    Ok(data.into())
}

fn member(fields: &mut Fields, version: i16, is_consumer: bool) -> Result<Value, Error> {
    let mut data = Map::new();
    data.insert("memberId".to_owned(), fields.text()?.into());
    if version >= 3 {
        data.insert("groupInstanceId".to_owned(), fields.maybe_text()?.into());
    }
    data.insert("clientId".to_owned(), fields.text()?.into());
    data.insert("clientHost".to_owned(), fields.text()?.into());
    if version >= 1 {
        data.insert("rebalanceTimeout".to_owned(), fields.i32()?.into());
    }
    data.insert("sessionTimeout".to_owned(), fields.i32()?.into());
    // What is of another protocol, or no subscription, stays as it is.
    let bytes = fields.bytes()?;
    let read = Some(bytes.clone()).filter(|_| is_consumer);
    let read = read.and_then(subscription);
    data.insert(
        "subscription".to_owned(),
        read.unwrap_or_else(|| base64(&bytes)),
    );
    let bytes = fields.bytes()?;
    let read = Some(bytes.clone()).filter(|_| is_consumer);
    let read = read.and_then(assignment);
    data.insert(
        "assignment".to_owned(),
        read.unwrap_or_else(|| base64(&bytes)),
    );
    fields.end()?;
    Ok(data.into())
}

fn base64(bytes: &[u8]) -> Value {
    BASE64_STANDARD.encode(bytes).into()
}

/// An embedded message in the version that its bytes name.
fn embedded<M: Decodable>(mut bytes: Bytes) -> Option<(M, i16)> {
    let version = bytes.try_get_i16().ok()?;
    let known = (0..=EMBEDDED_MAX).contains(&version);
    let read = M::decode(&mut bytes, version);
    known.then_some((read.ok()?, version))
}

fn subscription(bytes: Bytes) -> Option<Value> {
    let (read, version): (ConsumerProtocolSubscription, _) = embedded(bytes)?;
    let mut data = Map::new();
    let topics: Vec<String> = read.topics.iter().map(ToString::to_string).collect();
    data.insert("topics".to_owned(), topics.into());
    let user_data = read.user_data.map_or(Value::Null, |bytes| base64(&bytes));
    data.insert("userData".to_owned(), user_data);
    if version >= 1 {
        let owned = read.owned_partitions.iter();
        let owned: Vec<Value> = owned
            .map(|one| json!({ "topic": one.topic.to_string(), "partitions": one.partitions }))
            .collect();
        data.insert("ownedPartitions".to_owned(), owned.into());
    }
    if version >= 2 {
        data.insert("generationId".to_owned(), read.generation_id.into());
    }
    if version >= 3 {
        let rack = read.rack_id.map(|rack| rack.to_string());
        data.insert("rackId".to_owned(), rack.into());
    }
    Some(data.into())
}

fn assignment(bytes: Bytes) -> Option<Value> {
    let (read, _): (ConsumerProtocolAssignment, _) = embedded(bytes)?;
    let assigned = read.assigned_partitions.iter();
    let assigned: Vec<Value> = assigned
        .map(|one| json!({ "topic": one.topic.to_string(), "partitions": one.partitions }))
        .collect();
    let user_data = read.user_data.map_or(Value::Null, |bytes| base64(&bytes));
    Some(json!({ "assignedPartitions": assigned, "userData": user_data }))
}

fn of_transaction(mut key: Bytes, value: Option<Bytes>) -> Decoded {
    let kind = version(&mut key, "key")?;
    if kind != 0 {
        return Ok((Some(format!("unknown::version={kind}")), None));
    }
    let id = within(kind, "key", Fields::new(key, false).text())?;
    let name = format!("transaction_metadata::transactionalId={id}");
    let Some(mut value) = value else {
        return Ok((Some(name), Some(DELETED.to_owned())));
    };
    let version = version(&mut value, "value")?;
    let told = match version {
        0..=TXN_VALUES_MAX => transaction(Fields::new(value, version >= TXN_FLEXIBLE)),
        _ => Err(Error::Version(version)),
    };
    Ok((Some(name), Some(within(version, "value", told)?)))
}

fn transaction(mut fields: Fields) -> Result<String, Error> {
    let (producer_id, epoch) = (fields.i64()?, fields.i16()?);
    let timeout_ms = fields.i32()?;
    let state = state(fields.i8()?)?;
    let partitions = fields.list(|fields| {
        let topic = fields.text()?;
        let indexes = fields.list(Fields::i32)?.unwrap_or_default();
        fields.end()?;
        let names = indexes.iter().map(|index| format!("{topic}-{index}"));
        Ok(names.collect::<Vec<_>>().join(","))
    })?;
    let partitions = match state {
        "Empty" => String::new(),
        _ => partitions.unwrap_or_default().join(","),
    };
    let updated = fields.i64()?;
    Ok(format!(
        "producerId:{producer_id},producerEpoch:{epoch},state={state},partitions=[{partitions}],txnLastUpdateTimestamp={updated},txnTimeoutMs={timeout_ms}"
    ))
}

fn state(id: i8) -> Result<&'static str, Error> {
    const NAMES: [&str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];
    let name = usize::try_from(id).ok().and_then(|id| NAMES.get(id));
    name.copied().ok_or(Error::State(id))
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
