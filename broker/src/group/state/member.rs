//! One member of a group: its promises, its protocols and what it waits for.

use std::time::Duration;

use bytes::Bytes;

use super::Token;
use crate::group::api::{JoinRequest, MemberDescription};
use crate::group::records::MemberValue;

/// A member; the group keeps it under its id.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    client_id: String,
    client_host: String,
    pub(super) terms: Terms,
    pub(super) assignment: Bytes,
    pub(super) awaiting_join: Option<Token>,
    pub(super) awaiting_sync: Option<Token>,
    /// Has not completed a rebalance yet.
    pub(super) is_new: bool,
    /// When the session ends without a sign of life.
    pub(super) session_deadline: Duration,
}

/// What a member offers anew with each join.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// In order of preference.
    pub(super) protocols: Vec<(String, Bytes)>,
}

impl Terms {
    pub(super) fn of(request: &JoinRequest) -> Self {
        Self {
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
        }
    }

    pub(super) fn session_timeout(&self) -> Duration {
        duration_ms(self.session_timeout_ms)
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        duration_ms(self.rebalance_timeout_ms)
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

impl Member {
    pub(super) fn new(id: String, request: &JoinRequest, awaiting_join: Token) -> Self {
        Self {
            id,
            instance_id: request.instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            terms: Terms::of(request),
            assignment: Bytes::new(),
            awaiting_join: Some(awaiting_join),
            awaiting_sync: None,
            is_new: true,
            session_deadline: Duration::ZERO,
        }
    }

    pub(super) fn from_value(value: MemberValue, protocol: &str) -> Self {
        Self {
            id: value.member_id,
            instance_id: value.instance_id,
            client_id: value.client_id,
            client_host: value.client_host,
            terms: Terms {
                rebalance_timeout_ms: value.rebalance_timeout_ms,
                session_timeout_ms: value.session_timeout_ms,
                protocols: vec![(protocol.to_owned(), value.subscription)],
            },
            assignment: value.assignment,
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            session_deadline: Duration::ZERO,
        }
    }

    pub(super) fn to_value(&self, protocol: &str, assignment: Bytes) -> MemberValue {
        MemberValue {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.terms.rebalance_timeout_ms,
            session_timeout_ms: self.terms.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    /// The metadata for a protocol; empty when the member does not know it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self
            .terms
            .protocols
            .iter()
            .find(|(name, _)| name == protocol);
        found
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    /// The moment at which the session ends; a member that waits for the
    /// rebalance is alive by that, except a new one, whose join may be orphaned.
    pub(super) fn expires_at(&self) -> Option<Duration> {
        let waits = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        (self.is_new || !waits).then_some(self.session_deadline)
    }

    /// `protocol` is `None` while the group is not stable; then only the
    /// identity is shown.
    pub(super) fn describe(&self, protocol: Option<&str>) -> MemberDescription {
        MemberDescription {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: protocol.map(|name| self.metadata(name)).unwrap_or_default(),
            assignment: protocol
                .map(|_| self.assignment.clone())
                .unwrap_or_default(),
        }
    }
}

pub(super) fn duration_ms(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
