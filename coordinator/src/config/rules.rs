//! What the keys about nodes and permissions decide.

use std::time::Duration;

use common::config::Values;

use super::Leftovers;
use super::values::unsigned;
use crate::pipeline::{Access, Rules};

pub(super) fn rules(values: &Values, has_sasl_provider: bool) -> Rules {
    Rules {
        extended_types: values.bool("extendedTypesEnabled"),
        enforce_quota: values.bool("enforceQuota"),
        reconfig: values.bool("reconfigEnabled"),
        access: Access {
            skip: values.str("skipACL") == "yes",
            digest: values.bool("DigestAuthenticationProvider.enabled"),
            sasl: has_sasl_provider,
            any_sasl_user: values.opt_str("letAnySaslUserDoX").map(str::to_owned),
        },
    }
}

pub(super) fn leftovers(values: &Values) -> Leftovers {
    let interval = unsigned(values, "znode.container.checkIntervalMs");
    let per_minute = values.i32("znode.container.maxPerMinute");
    Leftovers {
        check_interval: Duration::from_millis(interval as u64),
        per_minute_max: u32::try_from(per_minute).unwrap_or(u32::MAX),
        never_used_ms_max: i64::from(values.i32("znode.container.maxNeverUsedIntervalMs")),
    }
}
