//! Serves reads and the requests about watches.
//!
//! **Invariant:** the reply is queued while the state is locked, so that the event
//! of a watch left here can only come behind it.

use bytes::Bytes;
use common::zk::{
    AddWatchMode, ClientInfo, ErrorCode, EventType, GetChildrenResponse, GetDataResponse, Id,
    MultiOp, MultiResult, SetWatches2, perms,
};

use super::request::{Answer, Client, Event, Read, Reply};
use super::{Origin, Shared, Watching};
use crate::tree::Node;
use crate::tree::acl::{self, Access};
use crate::txn::State;

type Result<T> = std::result::Result<T, ErrorCode>;

/// Where there is no transaction to speak of.
const NO_ZXID: i64 = -1;

/// Serves a read where it arrived.
pub(super) fn serve(shared: &Shared, origin: &Origin, read: &Read) {
    answer(shared, origin, read, false);
}

/// Serves a read that waited behind writes of its session.
pub(super) fn serve_queued(shared: &Shared, origin: &Origin, read: &Read) {
    answer(shared, origin, read, true);
}

fn answer(shared: &Shared, origin: &Origin, read: &Read, queued: bool) {
    let Some(client) = &origin.client else {
        return;
    };
    let state = shared.state.read();
    let looking = Looking {
        shared,
        state: &state,
        client: client.as_ref(),
        session: origin.session.id,
        ids: &origin.ids,
    };
    let result = if origin.session.is_closing() {
        Err(ErrorCode::SessionExpired)
    } else {
        looking.serve(read)
    };
    client.on_reply(Answer {
        xid: origin.xid,
        zxid: match read {
            Read::Unknown => NO_ZXID,
            _ => state.zxid,
        },
        received: origin.received,
        result,
        queued,
    });
}

/// A client that looks at the state.
struct Looking<'a> {
    shared: &'a Shared,
    state: &'a State,
    client: &'a dyn Client,
    session: i64,
    ids: &'a [Id],
}

impl Looking<'_> {
    fn serve(&self, read: &Read) -> Result<Reply> {
        Ok(match read {
            Read::Exists { path, watch } => return self.exists(path, *watch),
            Read::GetData { path, watch } => {
                let node = self.readable(path)?;
                self.watch_data_if(*watch, path);
                Reply::Data(node.data().map(Bytes::copy_from_slice), node.stat())
            }
            Read::GetAcl { path } => return self.get_acl(path),
            Read::GetChildren {
                path,
                watch,
                with_stat,
            } => {
                let node = self.readable(path)?;
                if *watch {
                    let id = self.client.watcher_id();
                    self.watch(|w| w.registry.watch_children(path, id));
                }
                let children = names(node);
                match with_stat {
                    true => Reply::ChildrenStat(children, node.stat()),
                    false => Reply::Children(children),
                }
            }
            Read::GetAllChildrenNumber { path } => {
                self.readable(path)?;
                let count = self.state.tree.descendant_count(path);
                // Under its other name the root counts among those that begin with a slash.
                let count = count + usize::from(path.is_empty());
                Reply::Count(i32::try_from(count).unwrap_or(i32::MAX))
            }
            Read::GetEphemerals { prefix } => self.ephemerals(prefix),
            Read::Ping => Reply::Nothing,
            Read::Sync { path } => Reply::Path(path.clone()),
            Read::SetWatches(request) => self.set_watches(request),
            Read::AddWatch { path, mode } => {
                let id = self.client.watcher_id();
                self.watch(|watching| match mode {
                    AddWatchMode::Persistent => watching.registry.watch_persistent(path, id),
                    AddWatchMode::PersistentRecursive => {
                        watching.registry.watch_recursive(path, id)
                    }
                });
                Reply::Watching
            }
            Read::CheckWatches(request, kind) => {
                let watching = self.shared.watching.lock();
                let id = self.client.watcher_id();
                return found(watching.registry.contains(&request.path, *kind, id));
            }
            Read::RemoveWatches(request, kind) => {
                let mut watching = self.shared.watching.lock();
                let id = self.client.watcher_id();
                return found(watching.registry.remove(&request.path, *kind, id));
            }
            Read::Several(ops) => {
                let results = ops.iter().map(|op| self.multi_read(op));
                Reply::Multi(results.collect::<Result<_>>()?)
            }
            Read::Refused(code) => return Err(*code),
            Read::Unknown => return Err(ErrorCode::Unimplemented),
            Read::WhoAmI => Reply::WhoAmI(self.ids.iter().map(client_info).collect()),
        })
    }

    fn access(&self) -> &Access {
        &self.shared.rules.access
    }

    fn existing(&self, path: &str) -> Result<Node<'_>> {
        self.state.tree.get(path).ok_or(ErrorCode::NoNode)
    }

    fn readable(&self, path: &str) -> Result<Node<'_>> {
        let node = self.existing(path)?;
        self.access().check(node.acl(), perms::READ, self.ids)?;
        Ok(node)
    }

    /// A watch is left also on a node that is missing.
    fn exists(&self, path: &str, watch: bool) -> Result<Reply> {
        if path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let node = self.readable(path);
        if let Err(ErrorCode::NoAuth) = node {
            return Err(ErrorCode::NoAuth);
        }
        self.watch_data_if(watch, path);
        Ok(Reply::Stat(node?.stat()))
    }

    fn get_acl(&self, path: &str) -> Result<Reply> {
        let node = self.existing(path)?;
        self.access()
            .check(node.acl(), perms::READ | perms::ADMIN, self.ids)?;
        let acl = match self.access().check(node.acl(), perms::ADMIN, self.ids) {
            Ok(()) => node.acl().to_vec(),
            Err(_) => acl::mask(node.acl()),
        };
        Ok(Reply::Acl(acl, node.stat()))
    }

    fn ephemerals(&self, prefix: &str) -> Reply {
        let all = matches!(prefix.trim(), "" | "/");
        let paths = self.state.tree.ephemerals_of(self.session);
        let paths = paths.filter(|path| all || path.starts_with(prefix));
        Reply::Paths(paths.map(ToString::to_string).collect())
    }

    fn multi_read(&self, op: &MultiOp) -> Result<MultiResult> {
        let read = match op {
            MultiOp::GetData(request) => Read::GetData {
                path: request.path.clone(),
                watch: request.watch,
            },
            MultiOp::GetChildren(request) => Read::GetChildren {
                path: request.path.clone(),
                watch: request.watch,
                with_stat: false,
            },
            _ => return Err(ErrorCode::MarshallingError),
        };
        Ok(match self.serve(&read) {
            Ok(Reply::Data(data, stat)) => MultiResult::GetData(GetDataResponse { data, stat }),
            Ok(Reply::Children(children)) => {
                MultiResult::GetChildren(GetChildrenResponse { children })
            }
            Ok(_) => MultiResult::Error(ErrorCode::SystemError.code()),
            Err(code) => MultiResult::Error(code.code()),
        })
    }

    fn watch_data_if(&self, wanted: bool, path: &str) {
        if wanted {
            let id = self.client.watcher_id();
            self.watch(|watching| watching.registry.watch_data(path, id));
        }
    }

    /// Leaves a watch, unless the client is gone already: nobody would remove it.
    fn watch(&self, leave: impl FnOnce(&mut Watching)) {
        let mut watching = self.shared.watching.lock();
        if watching.clients.contains_key(&self.client.watcher_id()) {
            leave(&mut watching);
        }
    }

    /// Leaves again the watches of a client that was away, and tells it at once of
    /// what it missed.
    fn set_watches(&self, request: &SetWatches2) -> Reply {
        let (id, since) = (self.client.watcher_id(), request.relative_zxid);
        self.watch(|watching| {
            let registry = &mut watching.registry;
            for path in &request.data_watches {
                match self.state.tree.get(path) {
                    None => self.missed(EventType::NodeDeleted, path),
                    Some(n) if n.mzxid > since => self.missed(EventType::NodeDataChanged, path),
                    Some(_) => registry.watch_data(path, id),
                }
            }
            for path in &request.exist_watches {
                match self.state.tree.get(path) {
                    None => registry.watch_data(path, id),
                    Some(_) => self.missed(EventType::NodeCreated, path),
                }
            }
            for path in &request.child_watches {
                match self.state.tree.get(path) {
                    None => self.missed(EventType::NodeDeleted, path),
                    Some(n) if n.pzxid() > since => {
                        self.missed(EventType::NodeChildrenChanged, path);
                    }
                    Some(_) => registry.watch_children(path, id),
                }
            }
            for path in &request.persistent_watches {
                registry.watch_persistent(path, id);
            }
            for path in &request.persistent_recursive_watches {
                registry.watch_recursive(path, id);
            }
        });
        Reply::Nothing
    }

    fn missed(&self, event_type: EventType, path: &str) {
        self.client.on_event(Event {
            event_type,
            path,
            zxid: NO_ZXID,
        });
    }
}

fn names(node: Node<'_>) -> Vec<String> {
    node.children().map(ToString::to_string).collect()
}

fn found(found: bool) -> Result<Reply> {
    if found {
        Ok(Reply::Nothing)
    } else {
        Err(ErrorCode::NoWatcher)
    }
}

fn client_info(id: &Id) -> ClientInfo {
    let user = match id.scheme.as_str() {
        "digest" => id.id.split(':').next().unwrap_or_default(),
        _ => id.id.as_str(),
    };
    ClientInfo {
        scheme: id.scheme.clone(),
        user: user.to_owned(),
    }
}
