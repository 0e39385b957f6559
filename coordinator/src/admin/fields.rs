//! JSON objects whose fields stay in the order in which they were added.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// The fields of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(Cow<'static, str>, Value)>);

impl Fields {
    pub(super) fn add(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.0.push((name.into(), value.into()));
    }

    /// As [`Fields::add`], for building.
    pub(super) fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Value>,
    ) -> Self {
        self.add(name, value);
        self
    }

    /// Adds what serializes to an object as one field.
    pub(super) fn with_object(
        self,
        name: impl Into<Cow<'static, str>>,
        object: &impl Serialize,
    ) -> Self {
        self.with(name, serde_json::to_value(object).unwrap_or_default())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_in_order() {
        let fields = Fields::default().with("z", 1).with("a", "x");
        assert_eq!(
            serde_json::to_string(&fields).unwrap(),
            r#"{"z":1,"a":"x"}"#
        );
        assert!(fields.has("a") && !fields.has("b"));
    }
}
