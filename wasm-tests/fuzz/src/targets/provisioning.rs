//! The answer of the app about a user (`provisioning`).

use vestibule::provisioning::{ProvisioningError, read};

use crate::fixture::{check_line, object, response};

pub(crate) fn run(bytes: &[u8]) {
    let response = response(bytes);
    match read(Ok(response.clone())) {
        Ok(attributes) if attributes.is_empty() => assert!(matches!(response.status, 200 | 201 | 204)),
        Ok(attributes) => {
            assert!(matches!(response.status, 200 | 201));
            let answer = object(&response.body).expect("it is an object");
            assert_eq!(answer["attributes"].as_object(), Some(&attributes));
        }
        Err(error) => {
            check_line(&error);
            if let ProvisioningError::Refused(message) = error {
                assert_eq!(response.status, 403);
                let text = message.as_str();
                assert!(text.chars().count() <= 500 && !text.contains(char::is_control) && text.trim() == text);
            }
        }
    }
}
