//! handlers

pub(crate) mod delete_groups;
pub(crate) mod describe_groups;
pub(crate) mod group_error;
pub(crate) mod group_wire;
pub(crate) mod heartbeat;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod sync_group;
