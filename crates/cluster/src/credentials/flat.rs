//! One kubeconfig out of many files, for a program that may read none of them.

use std::path::Path;

use kube::config::Kubeconfig;
use serde_json::{Value, json};

use super::{Credentials, CredentialsError, unreadable};

/// The kubeconfig that `credentials` lead to, in JSON with the contents of all files it names in place of their paths, so that a
/// program that may read none of them can use it.
///
/// # Errors
/// As for finding it; and when a file that it names can't be read.
pub fn flatten(credentials: &Credentials) -> Result<String, CredentialsError> {
    let Some((path, mut kubeconfig)) = credentials.find()?.kubeconfig else {
        let message = "a service account has no kubeconfig".to_owned();
        return Err(CredentialsError::Pod { message });
    };
    let malformed = |message: String| CredentialsError::Malformed {
        path: path.clone(),
        message,
    };
    keep_current(&mut kubeconfig).map_err(malformed)?;
    refuse_programs(&kubeconfig).map_err(malformed)?;
    let mut value =
        serde_json::to_value(&kubeconfig).map_err(|error| malformed(error.to_string()))?;
    for (list, item) in [("clusters", "cluster"), ("users", "user")] {
        for named in value[list].as_array_mut().into_iter().flatten() {
            if let Some(fields) = named[item].as_object_mut() {
                inline(fields)?;
            }
        }
    }
    serde_json::to_string_pretty(&value).map_err(|error| malformed(error.to_string()))
}

/// Drops what the current context does not name: whoever reads the copy needs no other secrets.
fn keep_current(kubeconfig: &mut Kubeconfig) -> Result<(), String> {
    let name = kubeconfig.current_context.clone();
    let name = name.ok_or("no current-context, so it is not known which credentials to use")?;
    kubeconfig.contexts.retain(|context| context.name == name);
    let context = kubeconfig.contexts.first();
    let context = context.and_then(|context| context.context.clone());
    let context =
        context.ok_or_else(|| format!("there is no context {name:?}, the current one"))?;
    let user = context.user.unwrap_or_default();
    kubeconfig
        .clusters
        .retain(|cluster| cluster.name == context.cluster);
    kubeconfig.auth_infos.retain(|info| info.name == user);
    Ok(())
}

/// Whoever copies has more rights than who uses the copy, so it runs nothing that a kubeconfig names.
fn refuse_programs(kubeconfig: &Kubeconfig) -> Result<(), String> {
    let users = kubeconfig.auth_infos.iter();
    for (name, user) in users.filter_map(|user| Some((&user.name, user.auth_info.as_ref()?))) {
        let program = match (&user.exec, &user.auth_provider) {
            (Some(exec), _) => exec.command.as_deref().unwrap_or("exec"),
            (None, Some(provider)) => &provider.name,
            (None, None) => continue,
        };
        return Err(format!(
            "user {name:?} gets its credentials from the plugin {program:?}, which is not run here; name a kubeconfig with a certificate or a token"
        ));
    }
    Ok(())
}

fn inline(fields: &mut serde_json::Map<String, Value>) -> Result<(), CredentialsError> {
    for key in ["certificate-authority", "client-certificate", "client-key"] {
        let data_key = format!("{key}-data");
        if let Some(Value::String(path)) = fields.remove(key)
            && !fields.contains_key(&data_key)
        {
            let bytes =
                std::fs::read(&path).map_err(|error| unreadable(Path::new(&path), &error))?;
            // The API's own byte string is base64 in JSON, as a kubeconfig's is.
            fields.insert(data_key, json!(k8s_openapi::ByteString(bytes)));
        }
    }
    if let Some(Value::String(path)) = fields.remove("tokenFile")
        && !fields.contains_key("token")
    {
        let token =
            std::fs::read_to_string(&path).map_err(|error| unreadable(Path::new(&path), &error))?;
        fields.insert("token".to_owned(), json!(token.trim()));
    }
    Ok(())
}
