import Egress
import Foundation

/// A message template as its account has it.
package struct AccountTemplate: Sendable, Equatable {
    package let name: String
    package let language: String
    package let category: String
    package let status: String
    /// A JSON array.
    package let components: [UInt8]
}

/// `GET /{version}/{businessAccountId}/message_templates` of the Cloud API.
package enum Templates {
    private static let mostPages = 50

    /// All templates of a WhatsApp account, or why they can't be had.
    package static func list(
        _ account: ChannelAccount,
        at providers: Providers
    ) async -> Result<[AccountTemplate], TemplatesFault> {
        let api = GraphAPI(providers: providers, token: account.credentials["accessToken"] ?? "")
        let business = account.credentials["businessAccountId"] ?? ""
        var templates: [AccountTemplate] = []
        var cursor: String?
        for _ in 0..<mostPages {
            let after = cursor.map { "&after=\($0.percentEncoded)" } ?? ""
            let path =
                "\(business.percentEncoded)/message_templates?fields=name,language,status,category,components&limit=100\(after)"
            let answer: ProviderAnswer
            do { answer = try await api.get(path) } catch {
                return .failure(TemplatesFault(code: "unreachable", message: error.description))
            }
            guard answer.status == 200, let body = answer.json, case .array(let page)? = body["data"] else {
                let error = answer.json?["error"]
                return .failure(
                    TemplatesFault(
                        code: error?["code"]?.id ?? "http_\(answer.status)",
                        message: error?["message"]?.string?.asExplanation ?? "The answer is no list of templates."
                    )
                )
            }
            templates += page.compactMap(template)
            // The next page by its cursor and never by its address: an answer doesn't say where to call.
            guard body["paging"]?["next"] != nil, let next = body["paging"]?["cursors"]?["after"]?.string,
                next != cursor
            else { return .success(templates) }
            cursor = next
        }
        return .success(templates)
    }

    private static func template(_ json: JSONValue) -> AccountTemplate? {
        guard let name = json["name"]?.string?.asId(), let language = json["language"]?.string?.asId(100) else {
            return nil
        }
        return AccountTemplate(
            name: name,
            language: language,
            category: json["category"]?.string ?? "",
            status: json["status"]?.string ?? "",
            components: Array(JSONValue.array(json["components"]?.elements ?? []).storable.text.utf8)
        )
    }
}

/// Why an account's templates can't be had.
package struct TemplatesFault: Error, Sendable, Equatable {
    package let code: String
    package let message: String
}
