//! AlterUserScramCredentials: all changes of a user are made, or none.

use std::collections::HashSet;

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
};
use tokio::sync::Mutex;

use super::credential::stored_text;
use super::{Mechanism, NAMELESS, Refusal, node_of, unreadable};
use crate::handlers::Role;
use crate::handlers::wire::text;
use crate::registry::Registry;

/// What the handler works with.
pub(crate) struct AlterUserScramCredentials<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) role: Role,
    /// Whose turn it is to read, change and write.
    pub(crate) turn: &'a Mutex<()>,
}

/// What is asked for one user.
#[derive(Default)]
struct Wanted<'a> {
    deletions: Vec<&'a ScramCredentialDeletion>,
    upsertions: Vec<&'a ScramCredentialUpsertion>,
}

impl AlterUserScramCredentials<'_> {
    pub(crate) async fn handle(
        &self,
        request: &AlterUserScramCredentialsRequest,
    ) -> AlterUserScramCredentialsResponse {
        let mut users: IndexMap<&str, Wanted<'_>> = IndexMap::new();
        for deletion in &request.deletions {
            let wanted = users.entry(&*deletion.name).or_default();
            wanted.deletions.push(deletion);
        }
        for upsertion in &request.upsertions {
            let wanted = users.entry(&*upsertion.name).or_default();
            wanted.upsertions.push(upsertion);
        }
        users.sort_unstable_keys();
        let _turn = self.turn.lock().await;
        let mut results = Vec::with_capacity(users.len());
        for (user, wanted) in users {
            let done = match self.role {
                Role::Controller => self.alter(user, &wanted).await,
                Role::Other => Err((ResponseError::NotController, None)),
            };
            if let Err((code, message)) = &done {
                tracing::info!(user, ?code, ?message, "credentials are not changed");
            }
            results.push(result(user, done));
        }
        AlterUserScramCredentialsResponse::default().with_results(results)
    }

    async fn alter(&self, user: &str, wanted: &Wanted<'_>) -> Result<(), Refusal> {
        wanted.check(user)?;
        let entity = node_of(user);
        let stored = self.registry.config(&entity).await;
        let mut config = stored.map_err(|failed| unreadable(&failed))?;
        wanted.apply(&mut config)?;
        let written = self.registry.change_client_config(&entity, &config).await;
        written.map_err(|failed| unreadable(&failed))
    }
}

impl Wanted<'_> {
    /// What is wrong with the request itself.
    fn check(&self, user: &str) -> Result<(), Refusal> {
        let unacceptable = |message: &str| {
            let message = Some(message.to_owned());
            Err((ResponseError::UnacceptableCredential, message))
        };
        if user.is_empty() {
            return unacceptable(NAMELESS);
        }
        // The last upsertion that is wrong says what is wrong; then a deletion.
        for upsertion in self.upsertions.iter().rev() {
            if Mechanism::of(upsertion.mechanism).is_none() {
                return unknown_mechanism();
            }
            if upsertion.iterations > Mechanism::ITERATIONS_MAX {
                return unacceptable("Too many iterations");
            }
            if upsertion.iterations < Mechanism::ITERATIONS_MIN {
                return unacceptable("Too few iterations");
            }
        }
        let deleted = self.deletions.iter().map(|deletion| deletion.mechanism);
        if deleted
            .clone()
            .any(|number| Mechanism::of(number).is_none())
        {
            return unknown_mechanism();
        }
        let upserted = self.upsertions.iter().map(|upsertion| upsertion.mechanism);
        let mut seen = HashSet::new();
        for mechanism in deleted.chain(upserted) {
            if !seen.insert(mechanism) {
                let message = "A user credential cannot be altered twice in the same request";
                return Err((ResponseError::DuplicateResource, Some(message.to_owned())));
            }
        }
        Ok(())
    }

    fn apply(&self, config: &mut IndexMap<String, String>) -> Result<(), Refusal> {
        for deletion in &self.deletions {
            let name = Mechanism::of(deletion.mechanism).map(Mechanism::name);
            if config.shift_remove(name.unwrap_or_default()).is_none() {
                let message = "Attempt to delete a user credential that does not exist";
                return Err((ResponseError::ResourceNotFound, Some(message.to_owned())));
            }
        }
        for upsertion in &self.upsertions {
            let Some(mechanism) = Mechanism::of(upsertion.mechanism) else {
                return unknown_mechanism();
            };
            let (salt, password) = (&upsertion.salt, &upsertion.salted_password);
            let Some(stored) = stored_text(mechanism, salt, password, upsertion.iterations) else {
                let failed = ResponseError::UnknownServerError;
                let message =
                    "The server experienced an unexpected error when processing the request.";
                return Err((failed, Some(message.to_owned())));
            };
            config.insert(mechanism.name().to_owned(), stored);
        }
        Ok(())
    }
}

fn unknown_mechanism() -> Result<(), Refusal> {
    let message = "Unknown SCRAM mechanism".to_owned();
    Err((ResponseError::UnsupportedSaslMechanism, Some(message)))
}

fn result(user: &str, done: Result<(), Refusal>) -> AlterUserScramCredentialsResult {
    let result = AlterUserScramCredentialsResult::default().with_user(text(user));
    match done {
        Ok(()) => result,
        Err((code, message)) => result
            .with_error_code(code.code())
            .with_error_message(message.map(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upsertion(mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
        ScramCredentialUpsertion::default()
            .with_name(text("u"))
            .with_mechanism(mechanism)
            .with_iterations(iterations)
            .with_salt(bytes::Bytes::from_static(b"salt"))
            .with_salted_password(bytes::Bytes::from_static(b"password"))
    }

    fn deletion(mechanism: i8) -> ScramCredentialDeletion {
        ScramCredentialDeletion::default()
            .with_name(text("u"))
            .with_mechanism(mechanism)
    }

    #[test]
    fn requests_are_judged_as_kafka_judges_them() {
        let table: [(&[ScramCredentialUpsertion], &[ScramCredentialDeletion], i16); 8] = [
            (&[upsertion(1, 4096), upsertion(2, 16384)], &[], 0),
            (&[upsertion(1, 4095)], &[], 93),
            (&[upsertion(1, 16385)], &[], 93),
            (&[upsertion(0, 4096)], &[], 33),
            (&[upsertion(1, 4096), upsertion(1, 4096)], &[], 92),
            (&[upsertion(1, 4096)], &[deletion(1)], 92),
            (&[], &[deletion(9)], 33),
            (&[upsertion(2, 4096)], &[deletion(1)], 0),
        ];
        for (upsertions, deletions, code) in table {
            let wanted = Wanted {
                upsertions: upsertions.iter().collect(),
                deletions: deletions.iter().collect(),
            };
            let verdict = wanted.check("u").err().map_or(0, |(code, _)| code.code());
            assert_eq!(verdict, code, "{upsertions:?} {deletions:?}");
        }
        let nobody = Wanted::default().check("").unwrap_err();
        assert_eq!(nobody.0.code(), 93);
    }

    #[test]
    fn what_is_not_there_cannot_be_deleted() {
        let (one, gone) = (upsertion(1, 4096), deletion(2));
        let mut config = IndexMap::new();
        let wanted = Wanted {
            upsertions: vec![&one],
            deletions: vec![&gone],
        };
        assert_eq!(wanted.apply(&mut config).unwrap_err().0.code(), 91);
        let wanted = Wanted {
            upsertions: vec![&one],
            deletions: Vec::new(),
        };
        wanted.apply(&mut config).unwrap();
        assert!(config["SCRAM-SHA-256"].starts_with("salt=c2FsdA==,stored_key="));
    }
}
