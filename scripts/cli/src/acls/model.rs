//! Resources, patterns and entries of access control lists, in Kafka's words.

use std::fmt;

use serde_json::{Value, json};

/// The one name of the resource `Cluster`.
pub(super) const CLUSTER_NAME: &str = "kafka-cluster";
/// A literal pattern of this name stands for every name.
const WILDCARD: &str = "*";

/// Something that is written in two ways: `TransactionalId` and `TRANSACTIONAL_ID`.
pub(super) trait Named: Copy + 'static {
    fn all() -> &'static [Self];
    fn names(self) -> [&'static str; 2];

    /// The value of either way of writing it, whatever the case.
    fn named(name: &str) -> Option<Self> {
        let is_meant = |each: &&Self| {
            let names = each.names();
            names.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        Self::all().iter().find(is_meant).copied()
    }
}

/// Makes an enum of names with their numbers on the wire.
macro_rules! named {
    ($(#[doc = $doc:literal])* $name:ident { $( $variant:ident = $code:literal, $upper:literal ),+ $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum $name { $( $variant = $code ),+ }

        impl $name {
            pub(super) const ALL: &'static [Self] = &[ $( Self::$variant ),+ ];

            /// `TRANSACTIONAL_ID`.
            pub(super) fn upper(self) -> &'static str {
                match self { $( Self::$variant => $upper ),+ }
            }

            /// `TransactionalId`.
            pub(super) fn pascal(self) -> &'static str {
                match self { $( Self::$variant => stringify!($variant) ),+ }
            }

            pub(super) fn of_code(code: i8) -> Option<Self> {
                Self::ALL.iter().copied().find(|each| *each as i8 == code)
            }
        }

        impl Named for $name {
            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn names(self) -> [&'static str; 2] {
                [self.pascal(), self.upper()]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.upper())
            }
        }
    };
}

named! {
    /// What access is given to.
    ResourceType {
        Topic = 2, "TOPIC",
        Group = 3, "GROUP",
        Cluster = 4, "CLUSTER",
        TransactionalId = 5, "TRANSACTIONAL_ID",
        DelegationToken = 6, "DELEGATION_TOKEN",
        User = 7, "USER",
    }
}

named! {
    /// How a name stands for resources; `Any` and `Match` only in searches.
    PatternType {
        Any = 1, "ANY",
        Match = 2, "MATCH",
        Literal = 3, "LITERAL",
        Prefixed = 4, "PREFIXED",
    }
}

named! {
    /// What may be done.
    Operation {
        All = 2, "ALL",
        Read = 3, "READ",
        Write = 4, "WRITE",
        Create = 5, "CREATE",
        Delete = 6, "DELETE",
        Alter = 7, "ALTER",
        Describe = 8, "DESCRIBE",
        ClusterAction = 9, "CLUSTER_ACTION",
        DescribeConfigs = 10, "DESCRIBE_CONFIGS",
        AlterConfigs = 11, "ALTER_CONFIGS",
        IdempotentWrite = 12, "IDEMPOTENT_WRITE",
        CreateTokens = 13, "CREATE_TOKENS",
        DescribeTokens = 14, "DESCRIBE_TOKENS",
    }
}

named! {
    /// Whether it may be done, or may not.
    Permission {
        Deny = 2, "DENY",
        Allow = 3, "ALLOW",
    }
}

impl ResourceType {
    /// The operations that there are for it, besides `All`.
    pub(super) fn operations(self) -> &'static [Operation] {
        use Operation as O;
        match self {
            Self::Topic => &[
                O::Read,
                O::Write,
                O::Create,
                O::Describe,
                O::Delete,
                O::Alter,
                O::DescribeConfigs,
                O::AlterConfigs,
            ],
            Self::Group => &[O::Read, O::Describe, O::Delete],
            Self::Cluster => &[
                O::Create,
                O::ClusterAction,
                O::DescribeConfigs,
                O::AlterConfigs,
                O::IdempotentWrite,
                O::Alter,
                O::Describe,
            ],
            Self::TransactionalId => &[O::Describe, O::Write],
            Self::DelegationToken => &[O::Describe],
            Self::User => &[O::CreateTokens, O::DescribeTokens],
        }
    }
}

/// Resources by type and name; in a search the name may match others' patterns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern {
    pub(super) resource: ResourceType,
    pub(super) name: String,
    pub(super) kind: PatternType,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ResourcePattern(resourceType={}, name={}, patternType={})",
            self.resource, self.name, self.kind
        )
    }
}

impl Pattern {
    pub(super) fn cluster() -> Self {
        Self {
            resource: ResourceType::Cluster,
            name: CLUSTER_NAME.to_owned(),
            kind: PatternType::Literal,
        }
    }

    /// Whether a search for this one finds `stored`.
    pub(super) fn finds(&self, stored: &Self) -> bool {
        let affects = || match stored.kind {
            PatternType::Prefixed => self.name.starts_with(&stored.name),
            _ => stored.name == self.name || stored.name == WILDCARD,
        };
        self.resource == stored.resource
            && match self.kind {
                PatternType::Any => self.name == stored.name,
                PatternType::Match => affects(),
                kind => kind == stored.kind && self.name == stored.name,
            }
    }
}

/// Who may do what from where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) principal: String,
    pub(super) host: String,
    pub(super) operation: Operation,
    pub(super) permission: Permission,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "(principal={}, host={}, operation={}, permissionType={})",
            self.principal, self.host, self.operation, self.permission
        )
    }
}

/// The entries of a resource as its znode holds them, in the order of Kafka 3.9.
pub(super) fn to_json(entries: &[Entry]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{{\"principal\":{},\"permissionType\":\"{}\",\"host\":{},\"operation\":\"{}\"}}",
                json!(entry.principal),
                entry.permission.pascal(),
                json!(entry.host),
                entry.operation.pascal()
            )
        })
        .collect();
    format!("{{\"acls\":[{}],\"version\":1}}", entries.join(","))
}

/// Reads what `to_json` writes; `None` for what it does not.
pub(super) fn from_json(bytes: &[u8]) -> Option<Vec<Entry>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let value: Value = serde_json::from_slice(bytes).ok()?;
    if value.get("version")?.as_i64()? != 1 {
        return None;
    }
    let entry = |value: &Value| {
        let text = |key: &str| value.get(key)?.as_str();
        Some(Entry {
            principal: text("principal")?.to_owned(),
            host: text("host")?.to_owned(),
            operation: Operation::named(text("operation")?)?,
            permission: Permission::named(text("permissionType")?)?,
        })
    };
    value.get("acls")?.as_array()?.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(name: &str, kind: PatternType) -> Pattern {
        Pattern {
            resource: ResourceType::Topic,
            name: name.to_owned(),
            kind,
        }
    }

    #[test]
    fn searches_find_by_name_or_by_effect() {
        use PatternType::{Any, Literal, Match, Prefixed};
        let stored = [
            pattern("foo", Literal),
            pattern("*", Literal),
            pattern("f", Prefixed),
            pattern("foo", Prefixed),
            pattern("bar", Prefixed),
        ];
        for (kind, found) in [
            (Literal, vec![0]),
            (Prefixed, vec![3]),
            (Any, vec![0, 3]),
            (Match, vec![0, 1, 2, 3]),
        ] {
            let search = pattern("foo", kind);
            let places = (0..stored.len()).filter(|place| search.finds(&stored[*place]));
            assert_eq!(places.collect::<Vec<_>>(), found, "{kind}");
        }
    }

    #[test]
    fn znodes_are_kafkas() {
        let entries = [Entry {
            principal: "User:a\"b".to_owned(),
            host: "*".to_owned(),
            operation: Operation::DescribeConfigs,
            permission: Permission::Deny,
        }];
        let text = to_json(&entries);
        assert_eq!(
            text,
            r#"{"acls":[{"principal":"User:a\"b","permissionType":"Deny","host":"*","operation":"DescribeConfigs"}],"version":1}"#
        );
        assert_eq!(from_json(text.as_bytes()).unwrap(), entries);
        assert_eq!(from_json(b""), Some(Vec::new()));
        for damaged in [
            "{",
            "{}",
            r#"{"version":2,"acls":[]}"#,
            r#"{"version":1,"acls":[{}]}"#,
        ] {
            assert_eq!(from_json(damaged.as_bytes()), None, "{damaged}");
        }
    }
}
