use super::*;

fn at(zxid: i64) -> Moment {
    Moment {
        zxid,
        time_ms: zxid * 10,
    }
}

fn node(owner: i64, parent_cversion: i32) -> NewNode {
    NewNode {
        data: Some(Bytes::from_static(b"data")),
        acl: Acl::open(),
        owner,
        parent_cversion,
    }
}

#[test]
fn a_fresh_tree_is_that_of_zookeeper() {
    let tree = Tree::fresh();
    assert_eq!(tree.reported_len(), 5);
    let root = tree.get("/").unwrap().stat();
    assert_eq!((root.num_children, root.cversion, root.pzxid), (1, -1, 0));
    assert_eq!(tree.get("").unwrap().stat(), root);
    assert_eq!(tree.get("/zookeeper").unwrap().stat().cversion, -2);
    assert_eq!(tree.get(CONFIG_PATH).unwrap().aversion, -1);
    assert_eq!(tree.descendant_count("/zookeeper"), 2);
    assert_eq!(tree.descendant_count("/"), 3);
}

#[test]
fn creation_and_deletion_move_the_parents_stat() {
    let mut tree = Tree::fresh();
    tree.create("/a", &node(0, 1), at(1)).unwrap();
    tree.create("/a/b", &node(0, 1), at(2)).unwrap();
    tree.create("/a/c", &node(0, 2), at(3)).unwrap();
    let stat = tree.get("/a").unwrap().stat();
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (2, 2, 3));
    tree.delete("/a/b", 4).unwrap();
    let stat = tree.get("/a").unwrap().stat();
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (3, 1, 4));
    assert_eq!((stat.czxid, stat.mzxid, stat.version), (1, 1, 0));
}

#[test]
fn data_moves_version_and_mzxid_only() {
    let mut tree = Tree::fresh();
    tree.create("/a", &node(0, 1), at(1)).unwrap();
    let size = tree.data_size();
    tree.set_data("/a", None, 1, at(2)).unwrap();
    assert_eq!(tree.data_size(), size - 4);
    let stat = tree.get("/a").unwrap().stat();
    assert_eq!((stat.mzxid, stat.version, stat.mtime), (2, 1, 20));
    assert_eq!((stat.czxid, stat.ctime, stat.data_length), (1, 10, 0));
    tree.set_acl("/a", &[], 1).unwrap();
    let stat = tree.get("/a").unwrap().stat();
    assert_eq!((stat.mzxid, stat.version, stat.aversion), (2, 1, 1));
}

#[test]
fn ephemerals_are_known_by_their_session() {
    let mut tree = Tree::fresh();
    tree.create("/e1", &node(7, 1), at(1)).unwrap();
    tree.create("/e2", &node(7, 2), at(2)).unwrap();
    let owned: Vec<_> = tree.ephemerals_of(7).map(ToString::to_string).collect();
    assert_eq!(owned, ["/e1", "/e2"]);
    assert_eq!(tree.ephemeral_count(), 2);
    tree.delete("/e1", 3).unwrap();
    tree.delete("/e2", 4).unwrap();
    assert!(tree.ephemerals().is_empty());
    assert_eq!(tree.ephemeral_count(), 0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut tree = Tree::fresh();
    assert!(tree.create("/a/b", &node(0, 1), at(1)).is_err());
    assert!(tree.create("/zookeeper", &node(0, 1), at(1)).is_err());
    assert!(tree.delete("/zookeeper", 1).is_err());
    assert!(tree.delete("/nothing", 1).is_err());
    assert!(tree.set_data("/nothing", None, 1, at(1)).is_err());
}

#[test]
fn acls_that_nobody_has_are_forgotten() {
    let mut tree = Tree::fresh();
    tree.create("/a", &node(0, 1), at(1)).unwrap();
    for n in 0..10 {
        let acl = [Acl::new(perms::READ, Id::new("digest", format!("u:{n}")))];
        tree.set_acl("/a", &acl, 1).unwrap();
    }
    assert_eq!(tree.get("/a").unwrap().acl()[0].id.id, "u:9");
    assert_eq!(tree.get("/").unwrap().acl().to_vec(), Acl::open());
    assert_eq!(tree.classes.len(), 3);
    tree.delete("/a", 2).unwrap();
    assert_eq!(tree.classes.len(), 2);
}

#[test]
fn nodes_are_listed_below_their_parents() {
    let mut tree = Tree::fresh();
    tree.create("/a", &node(0, 1), at(1)).unwrap();
    tree.create("/a/c", &node(0, 1), at(2)).unwrap();
    tree.create("/a/b", &node(0, 2), at(3)).unwrap();
    let names: Vec<&str> = tree.get("/a").unwrap().children().collect();
    assert_eq!(names, ["c", "b"]);
    let paths: Vec<String> = tree.iter().map(|node| node.path()).collect();
    let special = ["/", "/zookeeper", QUOTA_PATH, CONFIG_PATH];
    assert_eq!(paths, [&special[..], &["/a", "/a/c", "/a/b"]].concat());
}
