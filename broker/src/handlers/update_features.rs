//! UpdateFeatures (KIP-584) of a cluster whose brokers support no feature that
//! could be finalised, which is how Kafka 3.9 runs with ZooKeeper.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::Role;
use super::error;
use super::wire::text;
use crate::registry::Registry;

/// What may be done to a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
    Unknown,
}

impl Direction {
    fn of(version: i16, update: &FeatureUpdateKey) -> Self {
        match (version, update.allow_downgrade, update.upgrade_type) {
            (0, true, _) => Self::SafeDowngrade,
            (0, false, _) | (_, _, 1) => Self::Upgrade,
            (_, _, 2) => Self::SafeDowngrade,
            (_, _, 3) => Self::UnsafeDowngrade,
            _ => Self::Unknown,
        }
    }
}

/// Answers for each feature.
pub(crate) async fn handle(
    registry: &Registry,
    role: Role,
    version: i16,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let response = UpdateFeaturesResponse::default().with_error_message(None);
    if role != Role::Controller {
        return response
            .with_error_code(ResponseError::NotController.code())
            .with_error_message(Some(text(
                "This is not the correct controller for this cluster.",
            )));
    }
    let existing = match registry.finalized_features().await {
        Ok(features) => features.levels,
        Err(failed) => {
            let (code, message) = error::config_znode(&failed);
            return response
                .with_error_code(code.code())
                .with_error_message(message.map(text));
        }
    };
    let mut target = existing.clone();
    let mut verdicts: IndexMap<String, Result<(), String>> = IndexMap::new();
    for update in &request.feature_updates {
        let name = update.feature.to_string();
        // The first of the same name counts.
        if verdicts.contains_key(&name) {
            continue;
        }
        let verdict = verdict(version, update, &existing);
        if verdict.is_ok() {
            target.remove(&name);
        }
        verdicts.insert(name, verdict);
    }
    let mut is_written = true;
    // Kafka writes even then; who only asks shall change nothing.
    if target != existing && !request.validate_only {
        let written = registry.finalize_features(target).await;
        if let Err(error) = &written {
            tracing::warn!(%error, "finalized features are not changed");
        }
        is_written = written.is_ok();
    }
    let results = verdicts
        .into_iter()
        .map(|(name, verdict)| result(name, verdict, is_written));
    response.with_results(results.collect())
}

/// `Ok` for a feature that may be removed; none can be added.
fn verdict(
    version: i16,
    update: &FeatureUpdateKey,
    existing: &BTreeMap<String, i16>,
) -> Result<(), String> {
    let level = update.max_version_level;
    let direction = Direction::of(version, update);
    let refuse = |message: &str| Err(message.to_owned());
    if update.feature.is_empty() {
        return refuse("Feature name can not be empty.");
    }
    if direction == Direction::Unknown {
        return refuse("Received unknown upgrade type.");
    }
    let now = existing.get(update.feature.as_str()).copied();
    if level < 1 {
        return match (direction, now) {
            (Direction::Upgrade, _) => Err(format!(
                "Can not provide versionLevel: {level} less than 1 without setting the SAFE \
                 downgradeType in the request."
            )),
            (_, None) => refuse("Can not delete non-existing finalized feature."),
            (_, Some(_)) => Ok(()),
        };
    }
    let is_safe_downgrade = direction == Direction::SafeDowngrade;
    match now {
        Some(now) if level == now => Err(format!(
            "Can not {} a finalized feature from existing versionLevel:{now} to the same value.",
            if is_safe_downgrade {
                "downgrade"
            } else {
                "upgrade"
            }
        )),
        Some(now) if level < now && !is_safe_downgrade => Err(format!(
            "Can not downgrade finalized feature from existing versionLevel:{now} to provided \
             versionLevel:{level} without setting the downgradeType to SAFE in the request."
        )),
        Some(now) if level > now && direction != Direction::Upgrade => Err(format!(
            "When the downgradeType is set to SAFE in the request, the provided \
             versionLevel:{level} can not be greater than existing versionLevel:{now}."
        )),
        _ => refuse(
            "Could not apply finalized feature update because the provided feature is not \
             supported.",
        ),
    }
}

fn result(name: String, verdict: Result<(), String>, is_written: bool) -> UpdatableFeatureResult {
    let (code, message) = match verdict {
        Err(message) => (ResponseError::InvalidRequest.code(), Some(message)),
        Ok(()) if is_written => (0, None),
        Ok(()) => {
            let message = "Unable to update finalized features due to an unexpected server error.";
            let failed = ResponseError::FeatureUpdateFailed;
            (failed.code(), Some(message.to_owned()))
        }
    };
    UpdatableFeatureResult::default()
        .with_feature(text(name))
        .with_error_code(code)
        .with_error_message(message.map(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_judged_as_kafka_judges_them() {
        let existing = BTreeMap::from([("known".to_owned(), 5)]);
        let update = |name: &'static str, level, direction| {
            FeatureUpdateKey::default()
                .with_feature(text(name))
                .with_max_version_level(level)
                .with_upgrade_type(direction)
        };
        for (name, level, direction, beginning) in [
            ("", 1, 1, "Feature name can not be empty."),
            ("known", 1, 0, "Received unknown upgrade type."),
            ("known", 0, 1, "Can not provide versionLevel: 0 less than 1"),
            (
                "other",
                0,
                2,
                "Can not delete non-existing finalized feature.",
            ),
            (
                "known",
                5,
                1,
                "Can not upgrade a finalized feature from existing versionLevel:5",
            ),
            (
                "known",
                5,
                2,
                "Can not downgrade a finalized feature from existing",
            ),
            (
                "known",
                4,
                1,
                "Can not downgrade finalized feature from existing versionLevel:5",
            ),
            (
                "known",
                6,
                2,
                "When the downgradeType is set to SAFE in the request, the",
            ),
            (
                "known",
                4,
                2,
                "Could not apply finalized feature update because",
            ),
            (
                "other",
                4,
                1,
                "Could not apply finalized feature update because",
            ),
        ] {
            let refused = verdict(1, &update(name, level, direction), &existing).unwrap_err();
            assert!(refused.starts_with(beginning), "{refused}");
        }
        assert_eq!(verdict(1, &update("known", 0, 2), &existing), Ok(()));
        let old = FeatureUpdateKey::default()
            .with_feature(text("known"))
            .with_allow_downgrade(true);
        assert_eq!(verdict(0, &old, &existing), Ok(()));
    }
}
