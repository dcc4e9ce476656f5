import Mail

/// The settings of where mails go, checked before the first one is written.
package enum MailSettings {
    /// What is wrong with `MAIL_URL` and `MAIL_FROM`, each a sentence without a password.
    package static func faults(url: String?, sender: String?) -> [String] {
        var faults: [String] = []
        if let url {
            do { _ = try SMTPConfiguration(url: url) } catch { faults.append(error.description) }
        }
        do { _ = try Mailbox(parsing: sender ?? "") } catch {
            faults.append("MAIL_FROM is not an address such as Support <help@example.com>")
        }
        return faults
    }
}
