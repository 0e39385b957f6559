//! What the operator lets clients do.

use crate::tree::acl::Access;

/// The decisions that preparing and serving a request depend on.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Whether nodes with a time to live can be created.
    pub extended_types: bool,
    /// Whether a request that exceeds a hard quota is refused.
    pub enforce_quota: bool,
    /// Whether a reconfiguration is refused as something unknown, not as disabled.
    pub reconfig: bool,
    pub access: Access,
}
