import Foundation
import Testing

@testable import Mail

@Suite struct MailFolderTests {
    @Test func aMailIsOneFileForItsOwnerAlone() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "mail-tests-\(UUID())/mail").path
        let mail = try MailMessage.sample()

        let first = try MailFolder(path: path).write(mail)
        let again = try MailFolder(path: path).write(mail)

        #expect(first == again)
        #expect(first == "\(path)/20261123T050000Z-\(mail.id.uuidString.lowercased()).eml")
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).count == 1)
        #expect(FileManager.default.contents(atPath: first).map(Array.init) == mail.bytes)
        for (name, mode) in [(path, 0o700), (first, 0o600)] {
            let attributes = try FileManager.default.attributesOfItem(atPath: name)
            #expect(attributes[.posixPermissions] as? Int == mode)
        }
        try FileManager.default.removeItem(atPath: path)
    }

    @Test func saysWhereItCannotWrite() {
        #expect(throws: (any Error).self) { try MailFolder(path: "/dev/null/mail").write(.sample()) }
    }
}
