//! Entries that the brokers' authorizer keeps.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};
use kafka_protocol::protocol::StrBytes;

use super::model::{Entry, Operation, Pattern, PatternType, Permission, ResourceType};
use crate::client::metadata::{AutoCreate, Topics};
use crate::client::{Client, Endpoint, Error, Lane};

/// Stands for every type, pattern, operation and permission in a search.
const ANY: i8 = 1;

fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Client {
    pub(super) async fn create_acls(
        &self,
        pattern: &Pattern,
        entries: &[Entry],
    ) -> Result<(), Error> {
        let creation = |entry: &Entry| {
            AclCreation::default()
                .with_resource_type(pattern.resource as i8)
                .with_resource_name(wire(&pattern.name))
                .with_resource_pattern_type(pattern.kind as i8)
                .with_principal(wire(&entry.principal))
                .with_host(wire(&entry.host))
                .with_operation(entry.operation as i8)
                .with_permission_type(entry.permission as i8)
        };
        let answer = self.retrying("createAcls", async || {
            let broker = self.some_broker().await?;
            let creations = entries.iter().map(creation).collect();
            let request = |_| CreateAclsRequest::default().with_creations(creations);
            self.call(&broker, Lane::Control, request).await
        });
        let results = answer.await?.results;
        let checked =
            |code, message: Option<&StrBytes>| Error::check(code, message.map(StrBytes::as_str));
        results
            .iter()
            .try_for_each(|result| checked(result.error_code, result.error_message.as_ref()))
    }

    pub(super) async fn delete_acls(
        &self,
        search: &Pattern,
        entries: &[Entry],
    ) -> Result<(), Error> {
        let of_all = || {
            DeleteAclsFilter::default()
                .with_resource_type_filter(search.resource as i8)
                .with_resource_name_filter(Some(wire(&search.name)))
                .with_pattern_type_filter(search.kind as i8)
        };
        let filters: Vec<_> = match entries.is_empty() {
            true => vec![of_all().with_operation(ANY).with_permission_type(ANY)],
            false => {
                let of = |entry: &Entry| {
                    of_all()
                        .with_principal_filter(Some(wire(&entry.principal)))
                        .with_host_filter(Some(wire(&entry.host)))
                        .with_operation(entry.operation as i8)
                        .with_permission_type(entry.permission as i8)
                };
                entries.iter().map(of).collect()
            }
        };
        let answer = self.retrying("deleteAcls", async || {
            let broker = self.some_broker().await?;
            let filters = filters.clone();
            let request = |_| DeleteAclsRequest::default().with_filters(filters);
            self.call(&broker, Lane::Control, request).await
        });
        for result in answer.await?.filter_results {
            Error::check(result.error_code, result.error_message.as_deref())?;
            for acl in result.matching_acls {
                Error::check(acl.error_code, acl.error_message.as_deref())?;
            }
        }
        Ok(())
    }

    pub(super) async fn describe_acls(
        &self,
        search: Option<&Pattern>,
    ) -> Result<Vec<(Pattern, Entry)>, Error> {
        let answer = self.retrying("describeAcls", async || {
            let broker = self.some_broker().await?;
            let request = |_| {
                DescribeAclsRequest::default()
                    .with_resource_type_filter(search.map_or(ANY, |search| search.resource as i8))
                    .with_resource_name_filter(search.map(|search| wire(&search.name)))
                    .with_pattern_type_filter(search.map_or(ANY, |search| search.kind as i8))
                    .with_operation(ANY)
                    .with_permission_type(ANY)
            };
            self.call(&broker, Lane::Control, request).await
        });
        let answer = answer.await?;
        Error::check(answer.error_code, answer.error_message.as_deref())?;
        let mut found = Vec::new();
        for resource in answer.resources {
            // What this tool has no name for, it cannot show.
            let (Some(kind), Some(resource_type)) = (
                PatternType::of_code(resource.pattern_type),
                ResourceType::of_code(resource.resource_type),
            ) else {
                continue;
            };
            let pattern = Pattern {
                resource: resource_type,
                name: resource.resource_name.to_string(),
                kind,
            };
            for acl in resource.acls {
                let operation = Operation::of_code(acl.operation);
                let permission = Permission::of_code(acl.permission_type);
                if let (Some(operation), Some(permission)) = (operation, permission) {
                    let entry = Entry {
                        principal: acl.principal.to_string(),
                        host: acl.host.to_string(),
                        operation,
                        permission,
                    };
                    found.push((pattern.clone(), entry));
                }
            }
        }
        Ok(found)
    }

    async fn some_broker(&self) -> Result<Endpoint, Error> {
        if self.brokers().is_empty() {
            self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
        }
        self.any_broker()
    }
}
