//! Applying transactions to the replicated state.

use std::collections::{BTreeMap, BTreeSet};

use common::zk::{Stat, path};

use super::{Create, Entry, Txn};
use crate::session::{Password, Secret, zookeeper_password};
use crate::tree::{AclRef, Inconsistent, Moment, NewNode, Tree};
use crate::watch::Change;

/// Everything that the log and the snapshots keep.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    /// The live sessions and the timeouts that they negotiated, in milliseconds.
    pub(crate) sessions: BTreeMap<i64, i32>,
    /// Those of them that were imported from a ZooKeeper: their clients hold the
    /// passwords that it gave them.
    pub(crate) imported: BTreeSet<i64>,
    /// The last transaction applied.
    pub(crate) zxid: i64,
    pub(crate) secret: Secret,
}

/// A change that watchers may hear of, with the ACL that says who may.
#[derive(Debug)]
pub(crate) struct Effect {
    pub(crate) path: String,
    pub(crate) change: Change,
    pub(crate) acl: AclRef,
}

/// What one step did, for the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Error(i32),
    Done,
    Checked,
    Deleted,
    Created { path: String, stat: Option<Stat> },
    Stat(Stat),
    Multi(Vec<Outcome>),
}

/// What an entry did.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) outcome: Outcome,
    /// In the order in which they happened.
    pub(crate) effects: Vec<Effect>,
}

impl State {
    /// The password that the client of a session holds.
    pub(crate) fn password(&self, session: i64) -> Password {
        if self.imported.contains(&session) {
            return zookeeper_password(session);
        }
        self.secret.password(session)
    }

    /// Says whether a password is that of the session.
    pub(crate) fn verify_password(&self, session: i64, password: &[u8]) -> bool {
        match self.imported.contains(&session) {
            // Anybody can compute it, so the time of this tells nothing.
            true => zookeeper_password(session) == password,
            false => self.secret.verify(session, password),
        }
    }

    /// What a new server starts with.
    pub(crate) fn fresh(secret: Secret) -> Self {
        Self {
            tree: Tree::fresh(),
            sessions: BTreeMap::new(),
            imported: BTreeSet::new(),
            zxid: 0,
            secret,
        }
    }

    /// Carries out the next entry. An error means that the entry does not belong
    /// to this state; the caller must stop.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Result<Applied, Inconsistent> {
        assert_eq!(entry.zxid, self.zxid + 1, "transactions apply without gaps");
        let mut step = Step {
            state: self,
            session: entry.session,
            at: Moment {
                zxid: entry.zxid,
                time_ms: entry.time_ms,
            },
            effects: Vec::new(),
        };
        let outcome = step.apply(&entry.txn)?;
        let effects = step.effects;
        self.zxid = entry.zxid;
        Ok(Applied { outcome, effects })
    }
}

struct Step<'a> {
    state: &'a mut State,
    session: i64,
    at: Moment,
    effects: Vec<Effect>,
}

impl Step<'_> {
    fn apply(&mut self, txn: &Txn) -> Result<Outcome, Inconsistent> {
        Ok(match txn {
            Txn::Error { code } => Outcome::Error(*code),
            Txn::CreateSession { timeout_ms } => {
                self.state.sessions.insert(self.session, *timeout_ms);
                Outcome::Done
            }
            Txn::CloseSession { ephemerals } => {
                for path in ephemerals {
                    self.delete(path)?;
                }
                self.state.sessions.remove(&self.session);
                self.state.imported.remove(&self.session);
                Outcome::Done
            }
            Txn::Create(create) => self.create(create)?,
            Txn::Delete { path } => {
                self.delete(path)?;
                Outcome::Deleted
            }
            Txn::SetData {
                path,
                data,
                version,
            } => {
                let tree = &mut self.state.tree;
                let node = tree.set_data(path, data.as_deref(), *version, self.at)?;
                let (acl, stat) = (AclRef::clone(node.acl()), node.stat());
                self.effect(path, Change::DataChanged, acl);
                Outcome::Stat(stat)
            }
            Txn::SetAcl {
                path,
                acl,
                aversion,
            } => {
                let node = self.state.tree.set_acl(path, acl, *aversion)?;
                Outcome::Stat(node.stat())
            }
            Txn::Check { .. } => Outcome::Checked,
            Txn::Multi(parts) => {
                let outcomes = parts.iter().map(|part| self.apply(part));
                Outcome::Multi(outcomes.collect::<Result<_, _>>()?)
            }
        })
    }

    fn create(&mut self, create: &Create) -> Result<Outcome, Inconsistent> {
        let tree = &mut self.state.tree;
        let new = NewNode {
            data: create.data.clone(),
            acl: create.acl.clone(),
            owner: create.owner,
            parent_cversion: create.parent_cversion,
        };
        tree.create(&create.path, &new, self.at)?;
        let node = tree.get(&create.path);
        let stat = node.filter(|_| create.with_stat).map(|node| node.stat());
        if let Some(node) = node {
            let acl = AclRef::clone(node.acl());
            self.effect(&create.path, Change::Created, acl);
        }
        self.children_changed(&create.path);
        Ok(Outcome::Created {
            path: create.path.clone(),
            stat,
        })
    }

    fn delete(&mut self, path: &str) -> Result<(), Inconsistent> {
        let acl = self.state.tree.delete(path, self.at.zxid)?;
        self.effect(path, Change::Deleted, acl);
        self.children_changed(path);
        Ok(())
    }

    fn children_changed(&mut self, path: &str) {
        let Some(parent) = path::parent(path) else {
            return;
        };
        if let Some(node) = self.state.tree.get(parent) {
            let acl = AclRef::clone(node.acl());
            self.effect(parent, Change::ChildrenChanged, acl);
        }
    }

    fn effect(&mut self, path: &str, change: Change, acl: AclRef) {
        self.effects.push(Effect {
            path: path.to_owned(),
            change,
            acl,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::zk::Acl;

    fn create(path: &str, owner: i64, parent_cversion: i32) -> Txn {
        Txn::Create(Create {
            path: path.into(),
            data: None,
            acl: Acl::open(),
            owner,
            parent_cversion,
            with_stat: true,
        })
    }

    fn apply(state: &mut State, txn: Txn) -> Applied {
        let entry = Entry {
            zxid: state.zxid + 1,
            session: 5,
            cxid: 1,
            time_ms: 1000,
            txn,
        };
        state.apply(&entry).unwrap()
    }

    fn changes(applied: &Applied) -> Vec<(&str, Change)> {
        let effects = applied.effects.iter();
        effects.map(|e| (e.path.as_str(), e.change)).collect()
    }

    #[test]
    fn a_session_takes_its_ephemerals_along() {
        let mut state = State::fresh(Secret::for_tests());
        apply(&mut state, Txn::CreateSession { timeout_ms: 6000 });
        assert_eq!(state.sessions.get(&5), Some(&6000));
        apply(&mut state, create("/e", 5, 1));
        let close = Txn::CloseSession {
            ephemerals: vec!["/e".into()],
        };
        let applied = apply(&mut state, close);
        assert_eq!(
            changes(&applied),
            [("/e", Change::Deleted), ("/", Change::ChildrenChanged)]
        );
        assert!(state.sessions.is_empty());
        assert!(state.tree.get("/e").is_none());
        assert_eq!(state.zxid, 3);
    }

    #[test]
    fn a_multi_reports_each_step_as_it_was() {
        let mut state = State::fresh(Secret::for_tests());
        let set = |version| Txn::SetData {
            path: "/a".into(),
            data: None,
            version,
        };
        let multi = Txn::Multi(vec![create("/a", 0, 1), set(1), set(2)]);
        let applied = apply(&mut state, multi);
        let Outcome::Multi(outcomes) = &applied.outcome else {
            panic!("{:?}", applied.outcome);
        };
        let versions: Vec<i32> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Created {
                    stat: Some(stat), ..
                }
                | Outcome::Stat(stat) => stat.version,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(versions, [0, 1, 2]);
        assert_eq!(state.tree.get("/a").unwrap().czxid, 1);
    }

    #[test]
    fn an_error_only_moves_the_zxid() {
        let mut state = State::fresh(Secret::for_tests());
        let applied = apply(&mut state, Txn::Error { code: -101 });
        assert_eq!(applied.outcome, Outcome::Error(-101));
        assert!(applied.effects.is_empty());
        assert_eq!(state.zxid, 1);
    }
}
