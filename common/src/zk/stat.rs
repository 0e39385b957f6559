//! What the server tells about a node.

crate::jute_record! {
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct Stat {
        /// The transaction that created the node.
        czxid: i64,
        /// The transaction that last changed its data.
        mzxid: i64,
        ctime: i64,
        mtime: i64,
        /// How often the data changed.
        version: i32,
        /// How often the list of children changed.
        cversion: i32,
        /// How often the ACL changed.
        aversion: i32,
        /// The session that owns an ephemeral node, else 0.
        ephemeral_owner: i64,
        data_length: i32,
        num_children: i32,
        /// The transaction that last changed the list of children.
        pzxid: i64,
    }
}
