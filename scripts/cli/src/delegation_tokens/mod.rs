//! `kafka delegation-tokens`: creates, renews, expires and shows delegation tokens.
//!
//! Brokers refuse them on connections that do not say who asks, which are the only
//! ones that this tool makes: it then says what Kafka's says.
//!
//! **Invariant:** one action, and nothing is asked before the command line is right.

mod report;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::client::tokens::Principal;
use crate::client::{Client, Error};
use crate::failure::{Failure, Outcome};
use crate::options::{self, Options, Parser};
use crate::{admin, console, runtime, text};

const PURPOSE: &str = "This tool helps to create, renew, expire, or describe delegation tokens.";
const ACTIONS: [&str; 4] = ["create", "renew", "expire", "describe"];
const ILLEGAL: &str = "java.lang.IllegalArgumentException";

/// As Java reads it: with or without the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn parser() -> Parser {
    Parser::new()
        .text(
            "bootstrap-server",
            "server",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text(
            "command-config",
            "file",
            "REQUIRED: A properties file with settings for the connection to the brokers.",
        )
        .flag(
            "create",
            "Create a token; --renewer-principal says who else may renew it.",
        )
        .flag("renew", "Let a token live on for --renew-time-period.")
        .flag("expire", "Let a token end after --expiry-time-period.")
        .flag(
            "describe",
            "Show tokens, with --owner-principal those of some principals.",
        )
        .optional_text(
            "owner-principal",
            "principal",
            "Whose token it is, as type:name.",
        )
        .optional_text(
            "renewer-principal",
            "principal",
            "Who may renew the token, as type:name.",
        )
        .optional_long(
            "max-life-time-period",
            "ms",
            "How long the token may live at most; -1 is as the brokers are set.",
        )
        .optional_long(
            "renew-time-period",
            "ms",
            "How long the token lives on; -1 is as the brokers are set.",
        )
        .optional_long(
            "expiry-time-period",
            "ms",
            "When the token ends; -1 is at once.",
        )
        .optional_text(
            "hmac",
            "hmac",
            "The token, as it was shown when it was created.",
        )
}

/// Refuses what does not go together, in Kafka's words.
fn check(options: &Options) -> Result<(), String> {
    let has = |name: &&&str| options.has(name);
    if ACTIONS.iter().filter(has).count() != 1 {
        return Err(
            "Command must include exactly one action: --create, --renew, --expire or --describe"
                .to_owned(),
        );
    }
    let text = |error: options::Error| error.to_string();
    options
        .require(&["bootstrap-server", "command-config"])
        .map_err(text)?;
    let needed: [(&str, &[&'static str]); 3] = [
        ("create", &["max-life-time-period"]),
        ("renew", &["hmac", "renew-time-period"]),
        ("expire", &["hmac", "expiry-time-period"]),
    ];
    for (action, needed) in needed {
        if options.has(action) {
            options.require(needed).map_err(text)?;
        }
    }
    let (life, renew, expiry) = (
        "max-life-time-period",
        "renew-time-period",
        "expiry-time-period",
    );
    let (owner, renewer) = ("owner-principal", "renewer-principal");
    options
        .forbid("create", &["hmac", renew, expiry])
        .and_then(|()| options.forbid("renew", &[renewer, life, expiry, owner]))
        .and_then(|()| options.forbid("expire", &[life, renew, owner]))
        .and_then(|()| options.forbid("describe", &[renew, life, "hmac", expiry]))
        .map_err(text)
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = parser();
    let unread =
        |error: options::Error| admin::thrown("joptsimple.OptionException", &error.to_string());
    let options = parser.parse(words).map_err(unread)?;
    if options.is_empty() || options.has("help") {
        return Err(Failure::usage(&parser, PURPOSE));
    }
    if options.has("version") {
        console::say(text::version());
        return Ok(());
    }
    check(&options).map_err(|message| Failure::usage(&parser, message))?;
    let client = admin::client(&options, "command-config").map_err(Failure::new)?;
    runtime::block_on(async {
        if options.has("create") {
            create(&client, &options).await
        } else if options.has("renew") {
            renew(&client, &options).await
        } else if options.has("expire") {
            expire(&client, &options).await
        } else {
            describe(&client, &options).await
        }
    })
}

fn failed(error: Error) -> Failure {
    let cause = format!("{}: {error}", error.class());
    admin::thrown("java.util.concurrent.ExecutionException", &cause)
}

/// A number. One that is none counts as absent in Kafka, and what is absent as null.
fn number(options: &Options, name: &'static str) -> Result<i64, Failure> {
    const NULL: &str = "Cannot invoke \"java.lang.Long.longValue()\" because the return value of \"joptsimple.OptionSet.valueOf(joptsimple.OptionSpec)\" is null";
    let null = || admin::thrown("java.lang.NullPointerException", NULL);
    options.i64(name).ok().flatten().ok_or_else(null)
}

/// The principals that an option names.
fn principals(options: &Options, name: &str) -> Result<Vec<Principal>, Failure> {
    let principal = |written: &str| {
        let written = written.trim();
        let Some((kind, name)) = written.split_once(':') else {
            let message = format!(
                "expected a string in format principalType:principalName but got {written}"
            );
            return Err(admin::thrown(ILLEGAL, &message));
        };
        Ok(Principal {
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    };
    options.all(name).into_iter().map(principal).collect()
}

/// The token that is meant, as it was written and as bytes.
fn hmac(options: &Options) -> (&str, Result<Bytes, Failure>) {
    let written = options.text("hmac").unwrap_or_default();
    let bytes = BASE64.decode(written).map_err(|error| {
        let message = match error {
            base64::DecodeError::InvalidByte(_, byte) => {
                format!("Illegal base64 character {byte:x}")
            }
            _ => "Input byte array has wrong 4-byte ending unit".to_owned(),
        };
        admin::thrown(ILLEGAL, &message)
    });
    (written, bytes.map(Bytes::from))
}

async fn create(client: &Client, options: &Options) -> Outcome {
    let renewers = principals(options, "renewer-principal")?;
    let lifetime_ms = number(options, "max-life-time-period")?;
    console::say(format_args!(
        "Calling create token operation with renewers :{} , max-life-time-period :{lifetime_ms}",
        report::list(&renewers)
    ));
    let owners = principals(options, "owner-principal")?;
    let made = client.create_token(owners.first(), &renewers, lifetime_ms);
    let token = made.await.map_err(failed)?;
    console::say(format_args!(
        "Created delegation token with tokenId : {}",
        token.id
    ));
    console::print(format_args!("{}", report::table(&[token])));
    Ok(())
}

async fn renew(client: &Client, options: &Options) -> Outcome {
    let (written, hmac) = hmac(options);
    let period_ms = number(options, "renew-time-period")?;
    console::say(format_args!(
        "Calling renew token operation with hmac :{written} , renew-time-period :{period_ms}"
    ));
    let expires_ms = client.renew_token(hmac?, period_ms).await.map_err(failed)?;
    let date = report::date(expires_ms);
    console::print(format_args!(
        "Completed renew operation. New expiry date : {date}"
    ));
    Ok(())
}

async fn expire(client: &Client, options: &Options) -> Outcome {
    let (written, hmac) = hmac(options);
    let period_ms = number(options, "expiry-time-period")?;
    console::say(format_args!(
        "Calling expire token operation with hmac :{written} , expire-time-period :{period_ms}"
    ));
    let expires_ms = client
        .expire_token(hmac?, period_ms)
        .await
        .map_err(failed)?;
    let date = report::date(expires_ms);
    console::print(format_args!(
        "Completed expire operation. New expiry date : {date}"
    ));
    Ok(())
}

async fn describe(client: &Client, options: &Options) -> Outcome {
    let owners = principals(options, "owner-principal")?;
    match owners.is_empty() {
        true => console::say("Calling describe token operation for current user."),
        false => console::say(format_args!(
            "Calling describe token operation for owners: {}",
            report::list(&owners)
        )),
    }
    let tokens = client.describe_tokens(&owners).await.map_err(failed)?;
    console::print(format_args!("Total number of tokens : {}", tokens.len()));
    console::print(format_args!("{}", report::table(&tokens)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_action_and_what_it_needs() {
        let check = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            check(&parser().parse(&words).unwrap())
        };
        let at = "--bootstrap-server a:1 --command-config f";
        for line in [
            "--create --max-life-time-period -1 --owner-principal User:a",
            "--renew --hmac x --renew-time-period 1",
            "--expire --hmac x --expiry-time-period 1",
            "--describe",
        ] {
            assert_eq!(check(&format!("{at} {line}")), Ok(()), "{line}");
        }
        for (line, said) in [
            (
                "--create --renew",
                "Command must include exactly one action",
            ),
            (
                "--create",
                "Missing required argument \"[max-life-time-period]\"",
            ),
            (
                "--renew --hmac x",
                "Missing required argument \"[renew-time-period]\"",
            ),
            (
                "--describe --hmac x",
                "Option \"[describe]\" can't be used with option \"[hmac]\"",
            ),
        ] {
            let told = check(&format!("{at} {line}")).unwrap_err();
            assert!(told.starts_with(said), "{line}: {told}");
        }
    }
}
