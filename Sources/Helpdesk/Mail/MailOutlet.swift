import Foundation
import Functions
import Logging
import Mail

/// Where mails go: to the server of `MAIL_URL`, or into the folder of `MAIL_DIR`.
struct MailOutlet: Sendable {
    enum Result: Sendable, Equatable {
        case sent
        /// For good.
        case refused(String)
        case again(String)
    }

    private enum Way: Sendable {
        case server(SMTPClient)
        case folder(MailFolder)
    }

    private let way: Way
    private let sender: Mailbox

    /// `nil` when neither setting says where.
    ///
    /// - Throws: ``SMTPConfigurationError`` for a `MAIL_URL` that can't be read, ``MailboxError`` for such a `MAIL_FROM`.
    init?(_ context: WorkContext) throws {
        sender = try Mailbox(parsing: context.setting("MAIL_FROM") ?? "")
        if let url = try context.setting("MAIL_URL") {
            way = .server(SMTPClient(try SMTPConfiguration(url: url, certificates: context.setting("MAIL_CA_FILE"))))
        } else if let path = try context.setting("MAIL_DIR") {
            way = .folder(MailFolder(path: path))
        } else {
            return nil
        }
    }

    func deliver(_ stored: StoredMail, _ logger: Logger) async -> Result {
        let message: MailMessage
        do {
            message = try MailMessage(
                id: stored.id.uuid,
                date: stored.createdAt,
                from: sender,
                to: Mailbox(address: stored.recipient),
                subject: stored.subject,
                text: stored.text
            )
        } catch {
            return .refused("\(error)")
        }
        do {
            switch way {
            case .server(let client): try await client.send(message)
            case .folder(let folder):
                let path = try folder.write(message)
                logger.notice("a mail was written", metadata: ["mail": "\(stored.id)", "path": "\(path)"])
            }
            return .sent
        } catch let error as SMTPError where error.isFinal {
            return .refused(error.description)
        } catch {
            return .again("\(error)")
        }
    }
}
