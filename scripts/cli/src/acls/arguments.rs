//! The command line: resources, principals, hosts and operations become entries.

use std::collections::BTreeMap;

use super::model::{Entry, Named as _, Operation, Pattern, PatternType, Permission, ResourceType};
use crate::failure::Failure;
use crate::options::{Options, Parser};

/// Every host.
const ANY_HOST: &str = "*";
const NO_RESOURCE: &str = "You must provide at least one resource: --topic <topic> or --cluster or --group <group> or --delegation-token <Delegation Token ID>";
const NO_PRINCIPAL: &str =
    "You must specify one of: --allow-principal, --deny-principal when trying to add ACLs.";
pub(super) const DEPRECATED: &str = "Warning: support for ACL configuration directly through the authorizer is deprecated and will be removed in a future release. Please use --bootstrap-server instead to set ACLs through the admin client.";

/// Entries by the pattern that they belong to.
pub(super) type Entries = BTreeMap<Pattern, Vec<Entry>>;

/// Why entries cannot be made of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// Told with the table of options.
    Usage(String),
    /// Told as an error of the command.
    Failed(&'static str, String),
}

pub(super) fn parser() -> Parser {
    Parser::new()
        .text("bootstrap-server", "server to connect to", "One or more brokers, as host:port,host:port.")
        .optional_text("command-config", "command-config", "A properties file with settings for the connection to the brokers.")
        .text("authorizer", "authorizer", "DEPRECATED: The authorizer; kafka.security.authorizer.AclAuthorizer if absent.")
        .text("authorizer-properties", "authorizer-properties", "DEPRECATED: Settings of the authorizer: zookeeper.connect=host:port writes to the coordinator.")
        .text("topic", "topic", "A topic; * stands for all.")
        .flag("cluster", "The cluster itself.")
        .text("group", "group", "A consumer group; * stands for all.")
        .text("transactional-id", "transactional-id", "A transactional id; * stands for all.")
        .flag("idempotent", "With --producer: idempotent writes, too.")
        .text("delegation-token", "delegation-token", "A delegation token; * stands for all.")
        .text("resource-pattern-type", "ANY|MATCH|LITERAL|PREFIXED", "How names stand for resources; any and match only with --list and --remove.")
        .or("LITERAL")
        .flag("add", "Add entries.")
        .flag("remove", "Remove entries.")
        .flag("list", "List the entries of resources, or all.")
        .text("operation", "operation", "The operation that is allowed or denied; All if absent.")
        .or("All")
        .text("allow-principal", "allow-principal", "Who is allowed, as type:name; User:* is everybody.")
        .text("deny-principal", "deny-principal", "Who is denied, as type:name.")
        .optional_text("principal", "principal", "With --list: only entries of this principal.")
        .text("allow-host", "allow-host", "Where the allowed may come from; anywhere if absent.")
        .text("deny-host", "deny-host", "Where the denied may come from; anywhere if absent.")
        .flag("producer", "What a producer needs: write, describe and create on topics.")
        .flag("consumer", "What a consumer needs: read and describe on topics, read on groups.")
        .flag("force", "Ask nothing.")
        .text("zk-tls-config-file", "Authorizer ZooKeeper TLS configuration", "DEPRECATED: TLS to the coordinator, which is not served.")
        .text("user-principal", "user-principal", "A user as a resource, for its tokens.")
}

/// Says what does not go together, in the order in which Kafka looks.
pub(super) fn check(options: &Options) -> Result<(), String> {
    let text = |error: crate::options::Error| error.to_string();
    let has = |name| options.has(name);
    let by_server = has("bootstrap-server");
    if by_server && has("authorizer") {
        return Err("Only one of --bootstrap-server or --authorizer must be specified".to_owned());
    }
    if !by_server {
        options.require(&["authorizer-properties"]).map_err(text)?;
        crate::console::complain(DEPRECATED);
    }
    if has("command-config") && !by_server {
        return Err(
            "The --command-config option can only be used with --bootstrap-server option"
                .to_owned(),
        );
    }
    if has("authorizer-properties") && by_server {
        return Err(
            "The --authorizer-properties option can only be used with --authorizer option"
                .to_owned(),
        );
    }
    if ["add", "remove", "list"]
        .into_iter()
        .filter(|name| has(name))
        .count()
        != 1
    {
        return Err(
            "Command must include exactly one action: --list, --add, --remove. ".to_owned(),
        );
    }
    let not_listed = [
        "producer",
        "consumer",
        "allow-host",
        "allow-principal",
        "deny-host",
        "deny-principal",
    ];
    options.forbid("list", &not_listed).map_err(text)?;
    for role in ["producer", "consumer"] {
        let inferred = ["operation", "deny-principal", "deny-host"];
        options.forbid(role, &inferred).map_err(text)?;
    }
    check_roles(options)
}

fn check_roles(options: &Options) -> Result<(), String> {
    let has = |name| options.has(name);
    let refused = |message: &str| Err(message.to_owned());
    if has("principal") && !has("list") {
        return refused("The --principal option is only available if --list is set");
    }
    if has("producer") && !has("topic") {
        return refused("With --producer you must specify a --topic");
    }
    if has("idempotent") && !has("producer") {
        return refused("The --idempotent option is only available if --producer is set");
    }
    let of_producers = !has("producer") && (has("cluster") || has("transactional-id"));
    if has("consumer") && (!has("topic") || !has("group") || of_producers) {
        return refused(
            "With --consumer you must specify a --topic and a --group and no --cluster or --transactional-id option should be specified.",
        );
    }
    Ok(())
}

/// The entries that the options describe, by resource; without principals there
/// are resources without entries.
pub(super) fn entries(options: &Options) -> Result<Entries, Error> {
    let mut all = Entries::new();
    if !options.has("producer") && !options.has("consumer") {
        let found = given(options)?;
        let patterns = required(options)?;
        all.extend(patterns.into_iter().map(|pattern| (pattern, found.clone())));
    }
    if options.has("producer") {
        all.extend(of_producer(options)?);
    }
    if options.has("consumer") {
        for (pattern, entries) in of_consumer(options)? {
            let present = all.entry(pattern).or_default();
            present.extend(entries);
            present.sort();
            present.dedup();
        }
    }
    for (pattern, entries) in &all {
        let legal = pattern.resource.operations();
        let is_legal = |operation| operation == Operation::All || legal.contains(&operation);
        if !entries.iter().all(|entry| is_legal(entry.operation)) {
            return Err(illegal(pattern.resource));
        }
    }
    Ok(all)
}

/// Entries that can be added: every resource is a plain one and has some.
pub(super) fn to_add(options: &Options) -> Result<Entries, Error> {
    let kind = pattern_type(options)?;
    if !matches!(kind, PatternType::Literal | PatternType::Prefixed) {
        return Err(Error::Usage(format!(
            "A '--resource-pattern-type' value of '{kind}' is not valid when adding acls."
        )));
    }
    let entries = entries(options)?;
    match entries.values().any(Vec::is_empty) {
        true => Err(Error::Usage(NO_PRINCIPAL.to_owned())),
        false => Ok(entries),
    }
}

fn illegal(resource: ResourceType) -> Error {
    let names = resource.operations().iter().chain(&[Operation::All]);
    let names: Vec<_> = names.map(|operation| operation.pascal()).collect();
    Error::Usage(format!(
        "ResourceType {resource} only supports operations {}",
        names.join(", ")
    ))
}

fn of_producer(options: &Options) -> Result<Entries, Error> {
    use Operation::{Create, Describe, IdempotentWrite, Write};
    let mut all = Entries::new();
    let on_topics = inferred(options, &[Write, Describe, Create])?;
    let on_ids = inferred(options, &[Write, Describe])?;
    for pattern in required(options)? {
        match pattern.resource {
            ResourceType::Topic => all.insert(pattern, on_topics.clone()),
            ResourceType::TransactionalId => all.insert(pattern, on_ids.clone()),
            _ => None,
        };
    }
    if options.has("idempotent") {
        all.insert(Pattern::cluster(), inferred(options, &[IdempotentWrite])?);
    }
    Ok(all)
}

fn of_consumer(options: &Options) -> Result<Entries, Error> {
    use Operation::{Describe, Read};
    let mut all = Entries::new();
    for pattern in required(options)? {
        match pattern.resource {
            ResourceType::Topic => all.insert(pattern, inferred(options, &[Read, Describe])?),
            ResourceType::Group => all.insert(pattern, inferred(options, &[Read])?),
            _ => None,
        };
    }
    Ok(all)
}

/// Entries for the operations that the options name.
fn given(options: &Options) -> Result<Vec<Entry>, Error> {
    let mut written = options.all("operation");
    if written.is_empty() {
        written.push("All");
    }
    let operations = written.iter().map(|name| Operation::named(name.trim()));
    match operations.collect::<Option<Vec<_>>>() {
        Some(operations) => inferred(options, &operations),
        // An operation that there is not is none of the resource's.
        None => match required(options)?.first() {
            Some(pattern) => Err(illegal(pattern.resource)),
            None => Err(Error::Usage(NO_RESOURCE.to_owned())),
        },
    }
}

fn inferred(options: &Options, operations: &[Operation]) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for (permission, principal, host) in [
        (Permission::Allow, "allow-principal", "allow-host"),
        (Permission::Deny, "deny-principal", "deny-host"),
    ] {
        let mut hosts = options.all(host);
        if hosts.is_empty() {
            hosts.push(ANY_HOST);
        }
        for principal in principals(options, principal)? {
            for host in &hosts {
                entries.extend(operations.iter().map(|operation| Entry {
                    principal: principal.clone(),
                    host: host.trim().to_owned(),
                    operation: *operation,
                    permission,
                }));
            }
        }
    }
    entries.sort();
    entries.dedup();
    Ok(entries)
}

/// The principals that an option names.
pub(super) fn principals(options: &Options, option: &str) -> Result<Vec<String>, Error> {
    let check = |written: &str| match written.split_once(':') {
        Some(_) => Ok(written.to_owned()),
        None => Err(Error::Failed(
            "java.lang.IllegalArgumentException",
            format!("expected a string in format principalType:principalName but got {written}"),
        )),
    };
    let written = options.all(option);
    written.iter().map(|each| check(each.trim())).collect()
}

fn pattern_type(options: &Options) -> Result<PatternType, Error> {
    let written = options.text("resource-pattern-type").unwrap_or_default();
    PatternType::named(written).ok_or_else(|| {
        Error::Failed(
            "joptsimple.OptionArgumentConversionException",
            format!("Cannot parse argument '{written}' of option resource-pattern-type"),
        )
    })
}

fn required(options: &Options) -> Result<Vec<Pattern>, Error> {
    let patterns = patterns(options)?;
    match patterns.is_empty() {
        true => Err(Error::Usage(NO_RESOURCE.to_owned())),
        false => Ok(patterns),
    }
}

/// The resources that the options name.
pub(super) fn patterns(options: &Options) -> Result<Vec<Pattern>, Error> {
    let kind = pattern_type(options)?;
    let mut patterns = Vec::new();
    for (option, resource) in [
        ("topic", ResourceType::Topic),
        ("group", ResourceType::Group),
        ("transactional-id", ResourceType::TransactionalId),
        ("delegation-token", ResourceType::DelegationToken),
        ("user-principal", ResourceType::User),
    ] {
        let names = options.all(option);
        patterns.extend(names.iter().map(|name| Pattern {
            resource,
            name: name.trim().to_owned(),
            kind,
        }));
    }
    let names_cluster = options.has("cluster") || options.has("idempotent");
    if kind == PatternType::Literal && names_cluster {
        patterns.push(Pattern::cluster());
    }
    patterns.sort();
    patterns.dedup();
    Ok(patterns)
}

impl Error {
    pub(super) fn into_failure(self, parser: &Parser) -> Failure {
        match self {
            Self::Usage(message) => Failure::usage(parser, message),
            Self::Failed(class, message) => super::failed(class, &message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Options {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parser().parse(&words).unwrap()
    }

    fn added(line: &str) -> Vec<String> {
        let entries = to_add(&read(line)).unwrap().into_iter();
        let lines = entries.flat_map(|(pattern, entries)| {
            let of = move |entry: Entry| {
                let Entry {
                    principal,
                    host,
                    operation,
                    permission,
                } = entry;
                format!(
                    "{} {principal} {host} {operation} {permission}",
                    pattern.name
                )
            };
            entries.into_iter().map(of)
        });
        lines.collect()
    }

    #[test]
    fn roles_stand_for_operations() {
        assert_eq!(
            added("--producer --topic t --allow-principal User:a --idempotent"),
            [
                "t User:a * WRITE ALLOW",
                "t User:a * CREATE ALLOW",
                "t User:a * DESCRIBE ALLOW",
                "kafka-cluster User:a * IDEMPOTENT_WRITE ALLOW",
            ]
        );
        assert_eq!(
            added("--consumer --topic t --group g --allow-principal User:a --allow-host 1.2.3.4"),
            [
                "t User:a 1.2.3.4 READ ALLOW",
                "t User:a 1.2.3.4 DESCRIBE ALLOW",
                "g User:a 1.2.3.4 READ ALLOW",
            ]
        );
        assert_eq!(
            added("--topic t --allow-principal User:a --deny-principal User:b --operation read"),
            ["t User:a * READ ALLOW", "t User:b * READ DENY"]
        );
    }

    #[test]
    fn refusals_are_kafkas() {
        for (line, message) in [
            ("--add --topic t", NO_PRINCIPAL),
            ("--add --allow-principal User:a", NO_RESOURCE),
            (
                "--add --topic t --allow-principal User:a --resource-pattern-type any",
                "A '--resource-pattern-type' value of 'ANY' is not valid when adding acls.",
            ),
            (
                "--add --group g --allow-principal User:a --operation Fly",
                "ResourceType GROUP only supports operations Read, Describe, Delete, All",
            ),
        ] {
            let refused = to_add(&read(line)).unwrap_err();
            assert_eq!(refused, Error::Usage(message.to_owned()), "{line}");
        }
        let server = "--bootstrap-server h:1";
        for (line, message) in [
            (
                "--list --add",
                "Command must include exactly one action: --list, --add, --remove. ",
            ),
            (
                "--list --producer",
                "Option \"[list]\" can't be used with option \"[producer]\"",
            ),
            (
                "--add --producer",
                "With --producer you must specify a --topic",
            ),
            (
                "--add --principal User:a",
                "The --principal option is only available if --list is set",
            ),
        ] {
            assert_eq!(
                check(&read(&format!("{server} {line}"))).unwrap_err(),
                message
            );
        }
    }
}
