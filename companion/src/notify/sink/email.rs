//! E-mail.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::SendError;
use crate::config::{Email, MailTls};
use crate::notify::message::Message;

/// One command of the conversation.
const COMMAND: Duration = Duration::from_secs(10);
/// All of it.
const DEADLINE: Duration = Duration::from_secs(30);

pub async fn send(
    authorities: &[CertificateDer<'static>],
    to: &Email,
    message: &Message,
) -> Result<(), SendError> {
    let wrong =
        |error: &dyn std::error::Error| SendError::Mail(cuo_core::reason::line(&error.to_string()));
    let mut mail = lettre::Message::builder()
        .from(to.from.0.clone())
        .subject(&message.title)
        // One that arrives twice is shown once by most programs.
        .message_id(Some(format!("<{}@cuo-companion>", message.id)))
        .header(ContentType::TEXT_PLAIN);
    for mailbox in &to.to {
        mail = mail.to(mailbox.0.clone());
    }
    let mail = mail
        .body(message.text.clone())
        .map_err(|error| wrong(&error))?;
    let transport = transport(authorities, to)?;
    match timeout(DEADLINE, transport.send(mail)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(wrong(&error)),
        Err(_) => Err(SendError::Mail(format!(
            "no answer within {} s",
            DEADLINE.as_secs()
        ))),
    }
}

fn transport(
    authorities: &[CertificateDer<'static>],
    to: &Email,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
    let tls = match to.tls {
        MailTls::None => Tls::None,
        MailTls::StartTls => Tls::Required(parameters(authorities, to)?),
        MailTls::Implicit => Tls::Wrapper(parameters(authorities, to)?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&to.host)
        .port(to.port.unwrap_or(to.tls.port()))
        .tls(tls)
        .timeout(Some(COMMAND));
    if let (Some(user), Some(password)) = (&to.user, &to.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.read()?));
    }
    Ok(builder.build())
}

fn parameters(
    authorities: &[CertificateDer<'static>],
    to: &Email,
) -> Result<TlsParameters, SendError> {
    let wrong = |error: lettre::transport::smtp::Error| SendError::Mail(error.to_string());
    let mut builder = TlsParameters::builder(to.host.clone());
    for authority in authorities {
        let authority = Certificate::from_der(authority.to_vec()).map_err(wrong)?;
        builder = builder.add_root_certificate(authority);
    }
    builder.build_rustls().map_err(wrong)
}
