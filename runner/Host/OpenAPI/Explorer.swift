import Foundation
import Functions
import Synchronization

/// The page that explains the API and calls it: Swagger UI from a folder of this machine, never from elsewhere.
///
/// `runner/setup` fetches it. Where it couldn't, the page says what to do, and the document is there all the same.
final class Explorer: Sendable {
    static let path = "/api/docs"

    private let folder: String?
    private let files = Mutex<[String: [UInt8]]>([:])

    /// - Parameter folder: with Swagger UI's files and one named `version`; `nil` where there is none.
    init(folder: String?) {
        self.folder = folder
    }

    static func owns(_ path: some StringProtocol) -> Bool {
        path.hasPrefix(Self.path) && (path.utf8.count == Self.path.utf8.count || path.hasPrefix(Self.path + "/"))
    }

    /// - Throws: ``Failure/notFound(_:)`` for a file that isn't one of the page's.
    func answer(_ path: String) throws(Failure) -> Answer {
        guard path != Self.path else { return page }
        let name = String(path.dropFirst(Self.path.count + 1))
        switch name {
        case "explorer.js": return asset(Array(Self.script.utf8), "text/javascript; charset=utf-8", isFixed: false)
        case "explorer.css": return asset(Array(Self.style.utf8), "text/css; charset=utf-8", isFixed: false)
        default:
            guard let type = Self.types[name], let bytes = file(name) else { throw Failure.notFound("resource") }
            return asset(bytes, type, isFixed: true)
        }
    }

    /// The few of Swagger UI's files that the page uses; another name is never looked up on the disk.
    private static let types = [
        "swagger-ui.css": "text/css; charset=utf-8",
        "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
        "favicon-32x32.png": "image/png",
    ]

    /// Those that are fixed go by their version in the page, so they may be kept for good.
    private func asset(_ bytes: [UInt8], _ type: String, isFixed: Bool) -> Answer {
        let caching = isFixed ? "public, max-age=31536000, immutable" : "no-cache"
        return Answer(
            status: 200,
            contentType: type,
            body: bytes,
            headers: [("Cache-Control", caching), ("X-Content-Type-Options", "nosniff")]
        )
    }

    /// Read once; what isn't there is looked for again, since the set-up may bring it.
    private func file(_ name: String) -> [UInt8]? {
        guard let folder else { return nil }
        return files.withLock { files in
            if let bytes = files[name] { return bytes }
            guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)") else { return nil }
            files[name] = Array(data)
            return files[name]
        }
    }

    private var page: Answer {
        let version = file("version").map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespaces) }
        let isThere = Self.types.keys.allSatisfy { file($0) != nil }
        let body = isThere ? Self.explorer(version ?? "") : Self.instructions
        return Answer(
            status: 200,
            contentType: "text/html; charset=utf-8",
            body: Array(body.utf8),
            headers: [
                ("Cache-Control", "no-cache"), ("Content-Security-Policy", Self.policy),
                ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
            ]
        )
    }

    /// Scripts, styles and calls of this origin alone. Swagger UI draws its icons as `data:` images and writes `style`
    /// attributes.
    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; \
        connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
        """

    private static func explorer(_ version: String) -> String {
        let query = "?v=" + version.filter { $0.isASCII && ($0.isNumber || $0 == ".") }
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>DelightChat API</title>
            <link rel="icon" type="image/png" href="\(path)/favicon-32x32.png\(query)">
            <link rel="stylesheet" href="\(path)/swagger-ui.css\(query)">
            <link rel="stylesheet" href="\(path)/explorer.css">
            <script src="\(path)/swagger-ui-bundle.js\(query)" defer></script>
            <script src="\(path)/explorer.js" defer></script>
            </head>
            <body>
            <form id="log-in" autocomplete="on">
            <label>E-mail <input id="email" type="email" autocomplete="username" required></label>
            <label>Password <input id="password" type="password" autocomplete="current-password" required></label>
            <button>Log in</button>
            <output id="who">Log in to call what needs a token.</output>
            </form>
            <div id="explorer"></div>
            <noscript>This page needs JavaScript. The document is at <a href="/openapi.json">/openapi.json</a>.</noscript>
            </body>
            </html>

            """
    }

    private static let instructions = """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>DelightChat API</title>
        <link rel="stylesheet" href="\(path)/explorer.css">
        </head>
        <body>
        <main>
        <h1>DelightChat API</h1>
        <p>The API's description is at <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1); any client or explorer of
        that format reads it.</p>
        <p>This page becomes an explorer that logs in and calls once Swagger UI is here: run <code>runner/setup</code> on
        this machine while it reaches PyPI, then load the page again. Nothing is ever loaded from another site.</p>
        </main>
        </body>
        </html>

        """

    /// Logs in with the form, gives the token to Swagger UI and fills in the organisation's id.
    private static let script = """
        "use strict";
        const who = document.getElementById("who");
        let organisation = sessionStorage.getItem("organisation");
        const fillIn = (spec) => {
          for (const path of Object.values(spec.paths || {})) {
            for (const operation of Object.values(path)) {
              for (const parameter of operation.parameters || []) {
                if (parameter.name === "orgId" && organisation) parameter.example = organisation;
              }
            }
          }
          return spec;
        };
        const ui = SwaggerUIBundle({
          url: "/openapi.json",
          dom_id: "#explorer",
          deepLinking: true,
          displayRequestDuration: true,
          docExpansion: "none",
          filter: true,
          persistAuthorization: true,
          tryItOutEnabled: true,
          validatorUrl: null,
          responseInterceptor: (response) => {
            if (response.url && response.url.endsWith("/openapi.json") && response.text) {
              const spec = JSON.stringify(fillIn(JSON.parse(response.text)));
              response.text = spec;
              response.data = spec;
            }
            return response;
          },
        });
        document.getElementById("log-in").addEventListener("submit", async (event) => {
          event.preventDefault();
          const body = JSON.stringify({
            email: document.getElementById("email").value,
            password: document.getElementById("password").value,
          });
          const answer = await fetch("/auth/login", {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body,
          });
          const json = await answer.json();
          if (!answer.ok) {
            who.textContent = json.detail;
            return;
          }
          document.getElementById("password").value = "";
          organisation = json.user.orgId;
          sessionStorage.setItem("organisation", organisation);
          ui.preauthorizeApiKey("bearer", json.accessToken);
          ui.specActions.download("/openapi.json");
          who.textContent = `${json.user.name} (${json.user.role}), orgId ${organisation}`;
        });

        """

    private static let style = """
        body { margin: 0; font-family: sans-serif; }
        main { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; line-height: 1.5; }
        #log-in { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; padding: 0.75rem 1.25rem;
          background: #1b1b1b; color: #fff; font-size: 0.875rem; }
        #log-in input { padding: 0.35rem; }
        #log-in button { padding: 0.35rem 1rem; }

        """
}
