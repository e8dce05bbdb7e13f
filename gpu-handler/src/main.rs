//! The handler's command line.

use std::{ffi::OsString, io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use gpu_handler::{
    aws,
    client::{client, patient_client},
    config::{Config, Home, LogForm, lambda::runtime_api},
    engine::Engine,
    ffmpeg::Runner,
    host::Host,
    ledger::Ledger,
    s3::{self, S3},
    sandbox,
    stop::{Reason, Stop},
    transport::{health, lambda, run, runpod, serve, sqs},
    workplace,
};
use reelmill_shared::job::Outcome;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Reelmill's handler: makes HLS, waveform and pictures of a source with FFmpeg.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Without one, the environment tells: RUNPOD_WEBHOOK_GET_JOB is RunPod's, AWS_LAMBDA_RUNTIME_API
    /// is Lambda's, REELMILL_SQS_QUEUE_URL means sqs, HANDLER_API_KEY means serve.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take jobs over HTTP, as RunPod does.
    Serve,
    /// Take jobs from RunPod's queue, as a serverless worker.
    Runpod,
    /// Take jobs from a queue of SQS's.
    Sqs,
    /// Take jobs from AWS Lambda: invoked directly, or by an SQS queue.
    Lambda,
    /// Run one job and print its report. Exits with 0 when it is completed, 1 when it failed, 2 when
    /// there was nothing to run.
    Run {
        /// The job as JSON (`JobSpec`); its URLs may be `file:`.
        job: PathBuf,
    },
    /// Print what this machine can do, as JSON, and what of a GPU works.
    Host,
    /// Ask the handler that serves here how it is, for a container's health check. Exits with 0 when it
    /// is well or when jobs come in some other way, 1 when it is not.
    Health,
    /// Become a tool, behind walls.
    #[command(hide = true)]
    Sandbox {
        /// What the tool may reach, and whether without all walls it must not run, as JSON.
        order: String,
        /// The tool and its arguments; without, tell which walls there are.
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let command = Cli::parse().command.or_else(|| {
        Home::from_env().map(|home| match home {
            Home::Runpod => Command::Runpod,
            Home::Sqs => Command::Sqs,
            Home::Lambda => Command::Lambda,
            Home::Box => Command::Serve,
        })
    });
    let Some(command) = command else {
        eprint!("{}", Cli::command().render_help());
        return ExitCode::from(2);
    };
    let result = match command {
        // Before there is a second thread: some of the walls surround only the calling one.
        Command::Sandbox { order, command } => return enter_sandbox(&order, &command),
        Command::Serve => start(serve_jobs(), LogForm::Plain),
        Command::Runpod => start(take_jobs(), LogForm::of_runpod()),
        Command::Sqs => start(poll_queue(), LogForm::Plain),
        Command::Lambda => start(take_events(), LogForm::of_lambda()),
        Command::Run { job } => start(run_job(job), LogForm::Plain),
        Command::Host => start(describe_host(), LogForm::Plain),
        Command::Health => start(ask_health(), LogForm::Plain),
    };
    result.unwrap_or_else(|error| {
        eprintln!("gpu-handler: {error}");
        ExitCode::from(2)
    })
}

fn start(
    work: impl Future<Output = Result<ExitCode, Error>>,
    form: LogForm,
) -> Result<ExitCode, Error> {
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match form {
        LogForm::Plain => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogForm::Json => layer.json().flatten_event(true).boxed(),
        LogForm::Runpod => runpod::log::Lines::new(std::io::stdout).boxed(),
    };
    let filter =
        EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    tracing_subscriber::registry().with(layer).with(filter).init();
    // The work is FFmpeg's; a few threads carry bytes.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(work)
}

async fn engine(config: Config, local_files: bool) -> Result<Engine, Error> {
    workplace::sweep(&config.work_dir);
    let host = Host::detect(&config, &Runner::new(config.tools.clone())).await?;
    tracing::info!(
        ffmpeg = host.ffmpeg,
        class = ?host.class,
        device = host.device,
        encoder = host.encoder.name(),
        sessions = host.hardware.sessions,
        sandbox = ?host.sandbox,
        "ready"
    );
    if !host.sandbox.complete() {
        tracing::warn!(sandbox = ?host.sandbox, "this kernel lacks layers of the sandbox");
    }
    let s3 = match &config.s3 {
        Some(s3) => Some(S3::connect(s3, s3::patience()).await?),
        None => None,
    };
    Ok(Engine::new(config, host, client()?, local_files).with_s3(s3))
}

/// Whoever takes jobs from others has to report, and reports are signed.
fn must_sign(config: &Config) -> Result<(), Error> {
    match config.webhook_secrets {
        Some(_) => Ok(()),
        None => Err("HANDLER_WEBHOOK_SECRET must be set".into()),
    }
}

async fn serve_jobs() -> Result<ExitCode, Error> {
    let config = Config::from_env()?;
    let key = config.api_key.clone().ok_or("HANDLER_API_KEY must be set")?;
    must_sign(&config)?;
    let listener = serve::listen(config.listen).await?;
    let server = serve::Server::new(engine(config, false).await?, key);
    server.serve(listener, stopped()?).await?;
    Ok(ExitCode::SUCCESS)
}

async fn take_jobs() -> Result<ExitCode, Error> {
    let config = Config::from_env()?;
    let place =
        config.runpod.clone().ok_or("RUNPOD_WEBHOOK_GET_JOB must be set, as RunPod does")?;
    // Before anything that takes time: a worker may be told to end while it starts.
    let (signal, client) = (stopped()?, patient_client()?);
    let engine = match must_sign(&config) {
        Ok(()) => engine(config, false).await,
        Err(error) => Err(error),
    };
    match engine {
        Ok(engine) => {
            runpod::Worker::new(engine, client, place, runpod::Pace::default()).run(signal).await;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            runpod::unhealthy(client, place, "start", &error.to_string()).await;
            Err(error)
        }
    }
}

async fn poll_queue() -> Result<ExitCode, Error> {
    let config = Config::from_env()?;
    let place = config.sqs.clone().ok_or("REELMILL_SQS_QUEUE_URL must be set")?;
    must_sign(&config)?;
    let signal = stopped()?;
    let sdk = aws::load(place.region()).await;
    let table = config.ledger.as_ref();
    let ledger = table.map(|table| Ledger::open(&sdk, table, sqs::lease(place.visibility)));
    let queue = sqs::Queue::new(&sdk, place);
    let worker = sqs::Worker::new(engine(config, false).await?, queue, ledger);
    worker.run(signal).await?;
    Ok(ExitCode::SUCCESS)
}

async fn take_events() -> Result<ExitCode, Error> {
    let api = runtime_api().ok_or("AWS_LAMBDA_RUNTIME_API must be set, as Lambda does")?;
    let function = async {
        let config = Config::from_env()?;
        must_sign(&config)?;
        let place = config.lambda.clone().ok_or("AWS_LAMBDA_RUNTIME_API must be set")?;
        let ledger = match &config.ledger {
            Some(table) => {
                let ledger = Ledger::open(&aws::load(None).await, table, lambda::LEASE);
                ledger.check().await?;
                Some(ledger)
            }
            None => None,
        };
        let timing = lambda::Timing::new(place.margin);
        Ok::<_, Error>(lambda::Function::new(engine(config, false).await?, ledger, timing))
    };
    match function.await {
        Ok(function) => {
            function.run().await?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            lambda::init_error(&client()?, &api, &error.to_string()).await;
            Err(error)
        }
    }
}

async fn run_job(job: PathBuf) -> Result<ExitCode, Error> {
    let spec = run::read(&job)?;
    let engine = engine(Config::from_env()?, true).await?;
    let stop = Stop::default();
    let (signal, stopping) = (stopped()?, stop.clone());
    tokio::spawn(async move {
        signal.await;
        stopping.now(Reason::Shutdown);
    });
    let report = run::run(&engine, &spec, &stop).await;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(match report.outcome {
        Outcome::Completed { .. } => ExitCode::SUCCESS,
        Outcome::Failed { .. } => ExitCode::FAILURE,
    })
}

async fn describe_host() -> Result<ExitCode, Error> {
    let config = Config::from_env()?;
    let host = Host::detect(&config, &Runner::new(config.tools.clone())).await?;
    println!("{}", serde_json::to_string_pretty(&host)?);
    Ok(ExitCode::SUCCESS)
}

async fn ask_health() -> Result<ExitCode, Error> {
    let config = Config::from_env()?;
    // Where jobs come from a queue, the process listens nowhere: that it runs is all there is to ask.
    let (Some(Home::Box), Some(key)) = (Home::from_env(), &config.api_key) else {
        return Ok(ExitCode::SUCCESS);
    };
    Ok(match health::ask(&client()?, config.listen, key).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpu-handler: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Done when the process is asked to end, by SIGTERM or SIGINT.
fn stopped() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

fn enter_sandbox(order: &str, command: &[OsString]) -> ExitCode {
    match sandbox::enter(order, command) {
        Ok(layers) => {
            println!("{}", serde_json::to_string(&layers).expect("layers are plain data"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("[fatal] sandbox: {error}");
            ExitCode::from(sandbox::EXIT_SANDBOX)
        }
    }
}
