//! `cuo-companion check`: whether the configuration can be used, and what it switches on.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::config::{Condition, Config, Secret, Service};
use crate::notify::sink::Place;
use crate::notify::{post, recipients};
use crate::web::{self, Web};

/// Checks the file, and sends a message of trial to every sink if `send` says so. Prints a line for each part.
///
/// # Errors
/// What is wrong with the file, with a secret, or with a service.
pub async fn check(path: &Path, send: bool) -> Result<()> {
    let config = Config::load(path)?;
    let web = Web::new(&web::authorities(config.ca_file.as_deref())?)?;
    for gate in &config.gates {
        let condition = gate.condition().map_err(anyhow::Error::msg)?;
        let what = match condition {
            Condition::Alerts(asks) => {
                read(&asks.token)?;
                format!("closed while alerts at {} count", asks.prometheus_url)
            }
            Condition::Resources(asks) => format!("open while {}", asks.expr.as_str()),
        };
        println!("gate {}: {what}", gate.name);
    }
    for hook in &config.hooks {
        println!("hook {}: the check {}", hook.name, hook.annotation());
    }
    let post = post(&config, web)?;
    let mut failed = 0;
    for recipient in recipients(&config)? {
        let name = &recipient.sink.name;
        let service = recipient.sink.service().map_err(anyhow::Error::msg)?;
        let what = secrets(service).with_context(|| format!("notifications ({name})"))?;
        if !send {
            println!("notifications {name}: {what}");
            continue;
        }
        let message = recipient.words.trial();
        match post.send(&recipient.sink, &message, Place::New).await {
            Ok(_) => println!("notifications {name}: {what}: sent"),
            Err(error) => {
                println!("notifications {name}: {what}: {error}");
                failed += 1;
            }
        }
    }
    if failed > 0 {
        bail!("{failed} services did not take a message");
    }
    Ok(())
}

/// Reads all secrets of a service, and returns what it is called.
fn secrets(service: Service<'_>) -> Result<&'static str> {
    let (what, all) = match service {
        Service::Webhook(to) => ("webhook", vec![Some(&to.url), to.token.as_ref()]),
        Service::Slack(to) => ("Slack", vec![Some(&to.token)]),
        Service::Teams(to) => ("Teams", vec![Some(&to.url)]),
        Service::Discord(to) => ("Discord", vec![Some(&to.url)]),
        Service::Matrix(to) => ("Matrix", vec![Some(&to.token)]),
        Service::Ntfy(to) => ("ntfy", vec![Some(&to.topic), to.token.as_ref()]),
        Service::Email(to) => ("e-mail", vec![to.password.as_ref()]),
    };
    for secret in all.into_iter().flatten() {
        secret.read()?;
    }
    Ok(what)
}

fn read(secret: &Option<Secret>) -> Result<()> {
    if let Some(secret) = secret {
        secret.read()?;
    }
    Ok(())
}
