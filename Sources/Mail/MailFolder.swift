import Foundation

/// A folder that takes mails as `.eml` files, where there is no server to give them to.
package struct MailFolder: Sendable {
    private let path: String

    /// - Parameter path: made at the first mail, open to nobody else: mails hold tokens.
    package init(path: String) {
        self.path = path
    }

    /// Writes a mail, whole or not at all; the same mail again replaces itself.
    ///
    /// - Returns: the file's path. Names sort by the mails' times.
    package func write(_ message: MailMessage) throws -> String {
        let files = FileManager.default
        try files.createDirectory(
            atPath: path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        let moment = message.date.formatted(.iso8601.dateSeparator(.omitted).timeSeparator(.omitted))
        let name = "\(moment)-\(message.id.uuidString.lowercased())"
        let draft = "\(path)/.\(name).draft"
        let file = "\(path)/\(name).eml"
        guard files.createFile(atPath: draft, contents: Data(message.bytes), attributes: [.posixPermissions: 0o600])
        else { throw MailFolderError(path: draft) }
        guard rename(draft, file) == 0 else { throw MailFolderError(path: file) }
        return file
    }
}

package struct MailFolderError: Error, CustomStringConvertible {
    let path: String
    package var description: String { "\(path) can't be written" }
}
