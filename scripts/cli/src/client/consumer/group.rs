//! Membership in a group: find its coordinator, join, stay, commit, leave.
//!
//! Flow: `join` (JoinGroup, and SyncGroup with the assignment when we lead) →
//! `heartbeat` at intervals → `leave`.
//!
//! **Invariant:** after an error that says so, the member forgets what it was
//! told (coordinator, generation or its own id) before it tries again.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::assignor::{self, Assignment, RANGE};
use super::settings::ConsumerSettings;
use crate::client::metadata::{AutoCreate, Topics};
use crate::client::{Client, Endpoint, Error, Lane};

const PROTOCOL_TYPE: &str = "consumer";
/// The coordinator may answer a join this long after the rebalance timeout.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// One member of one group.
#[derive(Debug, Default)]
pub(super) struct Membership {
    coordinator: Option<Endpoint>,
    pub(super) member_id: String,
    pub(super) generation: i32,
    is_member: bool,
    heartbeat_at: Duration,
}

/// What a heartbeat found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    Fine,
    /// The group is being rearranged, or it no longer knows us.
    MustRejoin,
}

impl Client {
    /// The broker that looks after a group.
    pub(crate) async fn find_coordinator(&self, group: &str) -> Result<Endpoint, Error> {
        if self.brokers().is_empty() {
            self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
        }
        let broker = self.any_broker()?;
        let key = StrBytes::from_string(group.to_owned());
        let answer = self
            .call(&broker, Lane::Control, |version| match version >= 4 {
                true => FindCoordinatorRequest::default().with_coordinator_keys(vec![key]),
                false => FindCoordinatorRequest::default().with_key(key),
            })
            .await?;
        let (code, message, host, port) = match answer.coordinators.into_iter().next() {
            Some(found) => (
                found.error_code,
                found.error_message,
                found.host,
                found.port,
            ),
            None => (
                answer.error_code,
                answer.error_message,
                answer.host,
                answer.port,
            ),
        };
        Error::check(code, message.as_deref())?;
        Ok(Endpoint {
            host: host.to_string(),
            port: u16::try_from(port).unwrap_or_default(),
        })
    }
}

impl Membership {
    pub(super) fn is_member(&self) -> bool {
        self.is_member
    }

    pub(super) fn must_rejoin(&mut self) {
        self.is_member = false;
    }

    /// Puts off joining again until the next heartbeat, which is due at once.
    pub(super) fn commits_still(&mut self) {
        self.is_member = true;
        self.heartbeat_at = Duration::ZERO;
    }

    pub(super) async fn coordinator(
        &mut self,
        client: &Client,
        group: &str,
    ) -> Result<Endpoint, Error> {
        if let Some(coordinator) = &self.coordinator {
            return Ok(coordinator.clone());
        }
        let found = client.find_coordinator(group).await?;
        self.coordinator = Some(found.clone());
        Ok(found)
    }

    /// Joins once; an error after which to try again has had its consequences here.
    pub(super) async fn join(
        &mut self,
        client: &Client,
        settings: &ConsumerSettings,
        topics: &[String],
    ) -> Result<Assignment, Error> {
        let joined = self.try_join(client, settings, topics).await;
        if let Err(error) = &joined {
            self.suffer(error);
        }
        joined
    }

    async fn try_join(
        &mut self,
        client: &Client,
        settings: &ConsumerSettings,
        topics: &[String],
    ) -> Result<Assignment, Error> {
        let coordinator = self.coordinator(client, &settings.group_id).await?;
        let limit = settings.rebalance_timeout + JOIN_GRACE;
        let member_id = StrBytes::from_string(self.member_id.clone());
        let request = |version| {
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(RANGE))
                .with_metadata(assignor::encode_subscription(topics));
            JoinGroupRequest::default()
                .with_group_id(group_id(settings))
                .with_session_timeout_ms(millis(settings.session_timeout))
                .with_rebalance_timeout_ms(millis(settings.rebalance_timeout))
                .with_member_id(member_id)
                .with_group_instance_id(instance_id(settings, version >= 5))
                .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
                .with_protocols(vec![protocol])
        };
        let joined = client
            .call_within(&coordinator, Lane::Group, limit, request)
            .await?;
        if E::try_from_code(joined.error_code) == Some(E::MemberIdRequired) {
            self.member_id = joined.member_id.to_string();
        }
        Error::check(joined.error_code, None)?;
        self.member_id = joined.member_id.to_string();
        self.generation = joined.generation_id;
        let leads = joined.leader == joined.member_id;
        let assignments = match leads {
            true => assign(client, &joined.members).await?,
            false => Vec::new(),
        };
        let synced = client
            .call_within(&coordinator, Lane::Group, limit, |version| {
                let request = SyncGroupRequest::default()
                    .with_group_id(group_id(settings))
                    .with_generation_id(joined.generation_id)
                    .with_member_id(joined.member_id.clone())
                    .with_group_instance_id(instance_id(settings, version >= 3))
                    .with_assignments(assignments);
                match version >= 5 {
                    true => request
                        .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
                        .with_protocol_name(Some(StrBytes::from_static_str(RANGE))),
                    false => request,
                }
            })
            .await?;
        Error::check(synced.error_code, None)?;
        self.is_member = true;
        self.heartbeat_at = client.now() + settings.heartbeat_interval;
        Ok(assignor::decode_assignment(synced.assignment))
    }

    /// Says that we are alive, when that is due.
    pub(super) async fn heartbeat(
        &mut self,
        client: &Client,
        settings: &ConsumerSettings,
    ) -> Result<Beat, Error> {
        if client.now() < self.heartbeat_at {
            return Ok(Beat::Fine);
        }
        self.heartbeat_at = client.now() + settings.heartbeat_interval;
        let coordinator = self.coordinator(client, &settings.group_id).await?;
        let request = |version| {
            HeartbeatRequest::default()
                .with_group_id(group_id(settings))
                .with_group_instance_id(instance_id(settings, version >= 3))
                .with_generation_id(self.generation)
                .with_member_id(StrBytes::from_string(self.member_id.clone()))
        };
        let answer = client.call(&coordinator, Lane::Group, request).await;
        let checked = answer.and_then(|answer| Error::check(answer.error_code, None));
        let Err(error) = checked else {
            return Ok(Beat::Fine);
        };
        self.suffer(&error);
        match error.code() {
            Some(E::RebalanceInProgress | E::IllegalGeneration | E::UnknownMemberId) => {
                self.is_member = false;
                Ok(Beat::MustRejoin)
            }
            _ if error.is_retriable() => Ok(Beat::Fine),
            _ => Err(error),
        }
    }

    /// Forgets what `error` says is no longer so.
    pub(super) fn suffer(&mut self, error: &Error) {
        match error.code() {
            Some(E::UnknownMemberId | E::FencedInstanceId) => self.member_id.clear(),
            Some(E::NotCoordinator | E::CoordinatorNotAvailable) => self.coordinator = None,
            None if error.is_connection() => self.coordinator = None,
            _ => {}
        }
    }

    /// Leaves, so that the others need not wait for our session to end. A static
    /// member stays: it may come back within its session.
    pub(super) async fn leave(
        &mut self,
        client: &Client,
        settings: &ConsumerSettings,
    ) -> Result<(), Error> {
        if self.member_id.is_empty() || settings.instance_id.is_some() {
            return Ok(());
        }
        let coordinator = self.coordinator(client, &settings.group_id).await?;
        let member_id = StrBytes::from_string(std::mem::take(&mut self.member_id));
        self.is_member = false;
        let answer = client
            .call(&coordinator, Lane::Group, |version| {
                let request = LeaveGroupRequest::default().with_group_id(group_id(settings));
                let member = MemberIdentity::default().with_member_id(member_id.clone());
                match version >= 3 {
                    true => request.with_members(vec![member]),
                    false => request.with_member_id(member_id),
                }
            })
            .await?;
        Error::check(answer.error_code, None)
    }
}

/// Whether joining again may go well after `error`.
pub(super) fn may_join_again(error: &Error) -> bool {
    error.is_retriable()
        || matches!(
            error.code(),
            Some(
                E::MemberIdRequired
                    | E::UnknownMemberId
                    | E::IllegalGeneration
                    | E::RebalanceInProgress
            )
        )
}

async fn assign(
    client: &Client,
    members: &[JoinGroupResponseMember],
) -> Result<Vec<SyncGroupRequestAssignment>, Error> {
    let members: BTreeMap<String, Vec<String>> = members
        .iter()
        .map(|member| {
            let topics = assignor::decode_subscription(member.metadata.clone());
            (member.member_id.to_string(), topics)
        })
        .collect();
    let mut topics: Vec<String> = members.values().flatten().cloned().collect();
    topics.sort();
    topics.dedup();
    if topics
        .iter()
        .any(|topic| client.partition_count(topic).is_none())
    {
        client
            .refresh(Topics::Named(&topics), AutoCreate::Never)
            .await?;
    }
    let counts = topics
        .into_iter()
        .filter_map(|topic| client.partition_count(&topic).map(|count| (topic, count)))
        .collect();
    Ok(assignor::assign_ranges(&members, &counts)
        .into_iter()
        .map(|(member, assignment)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member))
                .with_assignment(assignor::encode_assignment(&assignment))
        })
        .collect())
}

pub(super) fn group_id(settings: &ConsumerSettings) -> GroupId {
    GroupId(StrBytes::from_string(settings.group_id.clone()))
}

/// For versions that know static members.
pub(super) fn instance_id(settings: &ConsumerSettings, is_known: bool) -> Option<StrBytes> {
    let id = settings.instance_id.clone().filter(|_| is_known);
    id.map(StrBytes::from_string)
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
