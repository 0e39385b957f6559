use super::*;
use crate::session::Secret;
use crate::txn::{Entry, State};

const SESSION: i64 = 5;

fn ids() -> Vec<Id> {
    vec![Id::new("ip", "127.0.0.1")]
}

fn try_one(view: &mut View<'_>, write: &Write) -> Result<Txn, Refusal> {
    try_under(&Rules::default(), view, write)
}

fn try_under(rules: &Rules, view: &mut View<'_>, write: &Write) -> Result<Txn, Refusal> {
    let ids = ids();
    let context = Context {
        session: SESSION,
        closing: false,
        ids: &ids,
        rules,
        quotas: &Quotas::default(),
        now: Duration::ZERO,
    };
    prepare(view, context, write)
}

/// Prepares requests one after the other against the same view.
fn run(view: &mut View<'_>, writes: &[Write]) -> Vec<Result<Txn, ErrorCode>> {
    let results = writes.iter().map(|write| try_one(view, write));
    results.map(|r| r.map_err(|refusal| refusal.code)).collect()
}

fn create_request(path: &str, flags: i32) -> CreateRequest {
    CreateRequest {
        path: path.into(),
        data: None,
        acl: Acl::open(),
        flags,
    }
}

fn create(path: &str, flags: i32) -> Write {
    Write::Create(create_request(path, flags), Creation::Plain)
}

fn delete(path: &str, version: i32) -> Write {
    Write::Delete(DeleteRequest {
        path: path.into(),
        version,
    })
}

fn set_data(path: &str, version: i32) -> Write {
    Write::SetData(SetDataRequest {
        path: path.into(),
        data: Some(Bytes::new()),
        version,
    })
}

/// A state with these nodes; a path that ends in "!" is ephemeral.
fn state(paths: &[&str]) -> State {
    let mut state = State::fresh(Secret::for_tests());
    for path in paths {
        let flags = i32::from(path.ends_with('!'));
        let path = path.trim_end_matches('!');
        let txn = try_one(&mut View::new(&state.tree), &create(path, flags)).unwrap();
        apply(&mut state, txn);
    }
    state
}

fn apply(state: &mut State, txn: Txn) {
    let entry = Entry {
        zxid: state.zxid + 1,
        session: SESSION,
        cxid: 0,
        time_ms: 0,
        txn,
    };
    state.apply(&entry).unwrap();
}

#[test]
fn creations_fail_as_in_zookeeper() {
    let state = state(&["/a", "/e!"]);
    use ErrorCode::*;
    let table = [
        ("/", 0, NodeExists),
        ("", 0, BadArguments),
        ("foo", 0, BadArguments),
        ("//q", 0, BadArguments),
        ("/.", 0, BadArguments),
        ("/x\u{1}", 0, BadArguments),
        ("/x\0y", 0, BadArguments),
        ("/q/", 0, NoNode),
        ("/a/", 0, BadArguments),
        ("/a", 0, NodeExists),
        ("/none/x", 0, NoNode),
        ("/e/x", 0, NoChildrenForEphemerals),
        ("/x", -1, BadArguments),
        ("/x", 7, BadArguments),
        ("/x", 5, Unimplemented),
        ("/x", 6, Unimplemented),
    ];
    for (path, flags, code) in table {
        let verdict = run(&mut View::new(&state.tree), &[create(path, flags)]);
        assert_eq!(verdict, [Err(code)], "{path:?} {flags}");
    }
    for (path, flags) in [("/x", 0), ("/x", 1), ("/a/", 2), ("/x", 4)] {
        let verdict = try_one(&mut View::new(&state.tree), &create(path, flags));
        assert!(verdict.is_ok(), "{path} {flags}: {verdict:?}");
    }
}

#[test]
fn deletions_and_changes_fail_as_in_zookeeper() {
    let state = state(&["/a", "/a/b"]);
    use ErrorCode::*;
    let table = [
        (delete("/", -1), BadArguments),
        (delete("/zookeeper", -1), BadArguments),
        (delete("/zookeeper/config", -1), BadArguments),
        (delete("a", -1), BadArguments),
        (delete("/none/x", -1), NoNode),
        (delete("/none", -1), NoNode),
        (delete("//a", -1), NoNode),
        (delete("/a", 3), BadVersion),
        (delete("/a", -1), NotEmpty),
        (set_data("", -1), BadArguments),
        (set_data("/a/", -1), BadArguments),
        (set_data("/none", -1), NoNode),
        (set_data("/a", 1), BadVersion),
        (Write::Refused(ReconfigDisabled), ReconfigDisabled),
    ];
    for (write, code) in table {
        let verdict = try_one(&mut View::new(&state.tree), &write);
        assert_eq!(verdict.map_err(|r| r.code), Err(code), "{write:?}");
    }
}

#[test]
fn permissions_are_those_of_the_parent_for_children_and_of_the_node_for_data() {
    let mut state = state(&["/a", "/a/b"]);
    let read_only = [Acl::new(perms::READ, Id::world())];
    state.tree.set_acl("/a", &read_only, 1).unwrap();
    let check = |write: Write| {
        let verdict = try_one(&mut View::new(&state.tree), &write);
        verdict.map(drop).map_err(|refusal| refusal.code)
    };
    assert_eq!(check(create("/a/c", 0)), Err(ErrorCode::NoAuth));
    assert_eq!(check(delete("/a/b", -1)), Err(ErrorCode::NoAuth));
    assert_eq!(check(set_data("/a", -1)), Err(ErrorCode::NoAuth));
    assert_eq!(check(set_data("/a/b", -1)), Ok(()));
    assert_eq!(check(create("/a/b/c", 0)), Ok(()));
    let set_acl = Write::SetAcl(SetAclRequest {
        path: "/a".into(),
        acl: Acl::open(),
        version: -1,
    });
    assert_eq!(check(set_acl), Err(ErrorCode::NoAuth));
}

#[test]
fn a_request_sees_those_before_it_that_are_not_applied_yet() {
    let state = state(&[]);
    let mut view = View::new(&state.tree);
    let results = run(
        &mut view,
        &[
            create("/a", 0),
            create("/a/s-", 2),
            create("/a/s-", 2),
            set_data("/a", 0),
            set_data("/a", 0),
            delete("/a", -1),
            delete("/a/s-0000000000", -1),
            delete("/a/s-0000000001", -1),
            delete("/a", 1),
            create("/a", 0),
        ],
    );
    let codes: Vec<_> = results.iter().map(|r| r.as_ref().err().copied()).collect();
    let (bad_version, not_empty) = (Some(ErrorCode::BadVersion), Some(ErrorCode::NotEmpty));
    let expected = [
        None,
        None,
        None,
        None,
        bad_version,
        not_empty,
        None,
        None,
        None,
        None,
    ];
    assert_eq!(codes, expected);
    assert!(matches!(&results[2], Ok(Txn::Create(c)) if c.path == "/a/s-0000000001"));
}

#[test]
fn a_multi_that_fails_leaves_no_trace() {
    let state = state(&["/a"]);
    let mut view = View::new(&state.tree);
    run(&mut view, &[set_data("/a", 0)]);
    let check = MultiOp::Check(CheckVersionRequest {
        path: "/a".into(),
        version: 9,
    });
    let multi = Write::Multi(vec![
        MultiOp::Create(create_request("/a/s-", 2)),
        MultiOp::Delete(DeleteRequest {
            path: "/a/s-0000000000".into(),
            version: 0,
        }),
        check,
    ]);
    let refusal = try_one(&mut view, &multi).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::BadVersion);
    assert_eq!(refusal.multi_index, Some(2));
    // The number is given again, and the change before the multi still counts.
    let results = run(&mut view, &[create("/a/s-", 2), set_data("/a", 1)]);
    assert!(matches!(&results[0], Ok(Txn::Create(c)) if c.path == "/a/s-0000000000"));
    assert!(results[1].is_ok());
}

#[test]
fn closing_a_session_takes_pending_ephemerals_along() {
    let state = state(&["/a", "/a/old!", "/a/gone!"]);
    let mut view = View::new(&state.tree);
    let results = run(
        &mut view,
        &[
            delete("/a/gone", -1),
            create("/a/new", 1),
            Write::CloseSession,
            delete("/a", -1),
        ],
    );
    let closed = Txn::CloseSession {
        ephemerals: vec!["/a/new".into(), "/a/old".into()],
    };
    assert_eq!(results[2], Ok(closed));
    assert!(results[3].is_ok());
}

#[test]
fn a_closing_session_gets_nothing_done() {
    let state = state(&["/a"]);
    let context = Context {
        session: SESSION,
        closing: true,
        ids: &[],
        rules: &Rules::default(),
        quotas: &Quotas::default(),
        now: Duration::ZERO,
    };
    for write in [create("/b", 0), delete("/a", -1), set_data("/a", -1)] {
        let refusal = prepare(&mut View::new(&state.tree), context, &write).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::SessionExpired);
    }
}

#[test]
fn versions_skip_the_number_that_means_any() {
    assert_eq!(next_version(i32::MAX, -1), Ok(i32::MIN));
    assert_eq!(next_version(-2, -1), Ok(0));
    assert_eq!(next_version(4, 4), Ok(5));
    assert_eq!(next_version(4, 5), Err(ErrorCode::BadVersion));
}

#[test]
fn the_operation_decides_the_kind_of_a_node_and_the_flags_must_fit() {
    use Creation::{Container, Plain, Ttl, WithStat};
    use ErrorCode::{BadArguments, Unimplemented};
    let on = Rules {
        extended_types: true,
        ..Rules::default()
    };
    let off = Rules::default();
    let (minute, session) = (Ttl { ms: 60_000 }, Owner::Session(SESSION));
    let table = [
        (&off, Container, 4, Ok(Owner::Container)),
        (&off, Container, 0, Ok(Owner::Container)),
        (&off, Plain, 4, Ok(Owner::Nobody)),
        (&off, minute, 5, Err(Unimplemented)),
        (&off, WithStat, 6, Err(Unimplemented)),
        (&off, minute, 0, Err(BadArguments)),
        (&on, minute, 5, Ok(Owner::Ttl { ms: 60_000 })),
        (&on, minute, 6, Ok(Owner::Ttl { ms: 60_000 })),
        (&on, minute, 1, Err(BadArguments)),
        (&on, Ttl { ms: 0 }, 5, Err(BadArguments)),
        (&on, Ttl { ms: -1 }, 0, Err(BadArguments)),
        (&on, Ttl { ms: 1 << 40 }, 5, Err(BadArguments)),
        (&on, WithStat, 5, Err(BadArguments)),
        (&on, WithStat, 1, Ok(session)),
    ];
    let state = state(&[]);
    for (rules, creation, flags, expected) in table {
        let write = Write::Create(create_request("/n", flags), creation);
        let prepared = try_under(rules, &mut View::new(&state.tree), &write);
        let owner = match prepared {
            Ok(Txn::Create(create)) => Ok(Owner::of(create.owner)),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.code),
        };
        assert_eq!(owner, expected, "{creation:?} {flags}");
    }
}

#[test]
fn a_leftover_that_was_used_again_stays() {
    let mut state = state(&["/p"]);
    let container = Write::Create(create_request("/c", 4), Creation::Container);
    let txn = try_one(&mut View::new(&state.tree), &container).unwrap();
    apply(&mut state, txn);
    let mut view = View::new(&state.tree);
    let leftover = |path: &str, version| {
        Write::DeleteLeftover(Leftover {
            path: path.into(),
            version,
        })
    };
    let results = run(
        &mut view,
        &[
            leftover("/p", 0),
            leftover("/c", 1),
            create("/c/x", 0),
            leftover("/c", 0),
            delete("/c/x", -1),
            leftover("/c", 0),
            leftover("/c", 0),
        ],
    );
    let codes: Vec<_> = results.into_iter().map(Result::err).collect();
    use ErrorCode::{BadVersion, NoNode, NotEmpty};
    let expected = [
        Some(BadVersion),
        Some(BadVersion),
        None,
        Some(NotEmpty),
        None,
        None,
        Some(NoNode),
    ];
    assert_eq!(codes, expected);
}

#[test]
fn a_hard_quota_is_kept_where_quotas_are_enforced() {
    let mut state = state(&["/q", "/zookeeper/quota/q"]);
    for (path, data) in [
        (
            "/zookeeper/quota/q/zookeeper_limits",
            "count=1,bytes=-1=;countHardLimit=2;byteHardLimit=3",
        ),
        ("/zookeeper/quota/q/zookeeper_stats", ""),
    ] {
        let mut request = create_request(path, 0);
        request.data = Some(Bytes::from_static(data.as_bytes()));
        let write = Write::Create(request, Creation::Plain);
        let txn = try_one(&mut View::new(&state.tree), &write).unwrap();
        apply(&mut state, txn);
    }
    let enforced = Rules {
        enforce_quota: true,
        ..Rules::default()
    };
    let txn = try_under(&enforced, &mut View::new(&state.tree), &create("/q/a", 0)).unwrap();
    apply(&mut state, txn);
    let set = |len| {
        Write::SetData(SetDataRequest {
            path: "/q/a".into(),
            data: Some(Bytes::from(vec![0; len])),
            version: -1,
        })
    };
    for (write, is_excess) in [
        (create("/q/b", 0), true),
        (create("/qq", 0), false),
        (set(3), false),
        (set(4), true),
    ] {
        let try_it = |rules| try_under(rules, &mut View::new(&state.tree), &write);
        let code = try_it(&enforced).err().map(|refusal| refusal.code);
        assert_eq!(
            code,
            is_excess.then_some(ErrorCode::QuotaExceeded),
            "{write:?}"
        );
        assert!(try_it(&Rules::default()).is_ok());
    }
    // Sent together they are counted together, and a deletion makes room.
    let mut view = View::new(&state.tree);
    let codes: Vec<_> = [
        delete("/q/a", -1),
        create("/q/b", 0),
        create("/q/c", 0),
        delete("/q/b", -1),
        create("/q/c", 0),
    ]
    .iter()
    .map(|write| try_under(&enforced, &mut view, write).is_ok())
    .collect();
    assert_eq!(codes, [true, true, false, true, true]);
}
