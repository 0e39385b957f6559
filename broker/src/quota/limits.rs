//! Which quota is a client's: the most specific one that is set.

use std::collections::HashMap;

/// A name, or the default of all who have none of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Of {
    Default,
    Name(String),
}

/// What a quota is set for: a user, a client id, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Entity {
    pub user: Option<Of>,
    pub client_id: Option<Of>,
}

/// Those who share one quota: empty parts do not tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sharers {
    pub(super) user: String,
    pub(super) client_id: String,
}

/// The quotas of one kind.
#[derive(Debug, Default)]
pub(super) struct Limits {
    bounds: HashMap<Entity, f64>,
}

impl Limits {
    /// Sets the quota of `entity`, or takes it away.
    pub(super) fn set(&mut self, entity: Entity, bound: Option<f64>) {
        match bound {
            Some(bound) => self.bounds.insert(entity, bound),
            None => self.bounds.remove(&entity),
        };
    }

    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// The quota of this client, with those who share it.
    #[must_use]
    pub(super) fn of(&self, user: &str, client_id: &str) -> Option<(Sharers, f64)> {
        if self.bounds.is_empty() {
            return None;
        }
        let user_is = [Of::Name(user.to_owned()), Of::Default];
        let client_is = [Of::Name(client_id.to_owned()), Of::Default];
        let [own, default] = user_is.map(Some);
        let [client, any_client] = client_is.map(Some);
        let places = [
            (&own, &client),
            (&own, &any_client),
            (&own, &None),
            (&default, &client),
            (&default, &any_client),
            (&default, &None),
            (&None, &client),
            (&None, &any_client),
        ];
        // Who gives no client id is not among all clients, as in Kafka.
        let is_nobody = client_id.is_empty();
        let mut places = places.into_iter();
        places.find_map(|(of_user, of_client)| {
            if is_nobody && of_client.is_some() {
                return None;
            }
            let entity = Entity {
                user: of_user.clone(),
                client_id: of_client.clone(),
            };
            let bound = *self.bounds.get(&entity)?;
            let part = |is_told: bool, name: &str| match is_told {
                true => name.to_owned(),
                false => String::new(),
            };
            let sharers = Sharers {
                user: part(of_user.is_some(), user),
                client_id: part(of_client.is_some(), client_id),
            };
            Some((sharers, bound))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(user: Option<&str>, client_id: Option<&str>) -> Entity {
        let of = |name: &str| match name {
            "<default>" => Of::Default,
            name => Of::Name(name.to_owned()),
        };
        Entity {
            user: user.map(of),
            client_id: client_id.map(of),
        }
    }

    /// KIP-55's order: each place counts only while those before it are empty.
    #[test]
    fn the_most_specific_quota_counts() {
        const D: &str = "<default>";
        let order = [
            (Some("u"), Some("c")),
            (Some("u"), Some(D)),
            (Some("u"), None),
            (Some(D), Some("c")),
            (Some(D), Some(D)),
            (Some(D), None),
            (None, Some("c")),
            (None, Some(D)),
        ];
        let mut limits = Limits::default();
        for (number, (user, client_id)) in order.iter().enumerate().rev() {
            limits.set(entity(*user, *client_id), Some(number as f64));
            let (sharers, bound) = limits.of("u", "c").unwrap();
            assert_eq!(bound, number as f64);
            assert_eq!(!sharers.user.is_empty(), user.is_some());
            assert_eq!(!sharers.client_id.is_empty(), client_id.is_some());
        }
        assert_eq!(limits.of("other", "c").unwrap().1, 3.0);
        assert_eq!(limits.of("other", "other").unwrap().1, 4.0);
        assert_eq!(limits.of("u", "").unwrap().1, 2.0);
        assert_eq!(limits.of("other", "").unwrap().1, 5.0);
        for (user, client_id) in order {
            limits.set(entity(user, client_id), None);
        }
        assert!(limits.is_empty() && limits.of("u", "c").is_none());
    }
}
