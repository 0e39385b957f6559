//! The coordinator daemon.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::{notify, shutdown, telemetry};
use coordinator::command::Command;
use coordinator::{Config, Running};

/// A ZooKeeper-compatible coordination service.
#[derive(Debug, Parser)]
#[command(name = "coordinator", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// A properties file with ZooKeeper's keys (zoo.cfg).
    config: Option<PathBuf>,
    /// Sets a key, above the file; may be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(command) = &arguments.command {
        telemetry::init("warn");
        return finish(carry_out(command));
    }
    finish(run(&arguments).map(|()| ExitCode::SUCCESS))
}

fn finish(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        tracing::error!("{error}");
        ExitCode::FAILURE
    })
}

fn carry_out(command: &Command) -> anyhow::Result<ExitCode> {
    let output = command.run()?;
    std::io::stdout().write_all(output.text.as_bytes())?;
    Ok(match output.well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(arguments.config.as_deref(), &arguments.overrides);
    let level = config.as_ref().map_or("info", |config| &config.log_level);
    telemetry::init(level);
    let config = config?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let storage = config.storage.clone();
    let limits = config.limits();
    let running = coordinator::start(config).await?;
    let recovery = running.recovery();
    tracing::info!(
        "coordinator {} serves clients on {}{}",
        env!("CARGO_PKG_VERSION"),
        running.client_address(),
        admin(&running),
    );
    tracing::info!(
        "data in {}, log in {}: zxid {:#x} (snapshot {:#x} and {} transactions), {} nodes, {} sessions",
        storage.data_dir.display(),
        storage.log_dir.display(),
        recovery.zxid,
        recovery.snapshot_zxid,
        recovery.replayed,
        recovery.nodes,
        recovery.sessions,
    );
    tracing::info!("limits: {limits}");
    notify::ready(&format!("Serving on {}", running.client_address()));
    let stop = running.shutdown();
    tokio::select! {
        signal = shutdown::stop_signal() => {
            tracing::info!("{}: stopping", signal?);
            stop.request();
        }
        () = stop.requested() => {}
    }
    notify::stopping();
    running.wait().await?;
    tracing::info!("stopped");
    Ok(())
}

fn admin(running: &Running) -> String {
    running
        .admin_address()
        .map(|address| format!(", operators on http://{address}/"))
        .unwrap_or_default()
        + &running
            .metrics_address()
            .map(|address| format!(", Prometheus on http://{address}/metrics"))
            .unwrap_or_default()
}
