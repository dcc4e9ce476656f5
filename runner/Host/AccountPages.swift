import Functions

/// The pages that links in mails lead to: accepting an invite, and setting a new password. Each is a form that calls the API.
enum AccountPages {
    private static let script = Explorer.path + "/account.js"

    static func owns(_ path: some StringProtocol) -> Bool {
        path == "/accept-invite" || path == "/reset-password" || path == script
    }

    /// The answer, or `nil` where the path is none of these.
    static func answer(_ path: String) -> Answer? {
        switch path {
        case "/accept-invite":
            page("Accept the invite", fields: [name, password], button: "Join", call: "/auth/accept-invite")
        case "/reset-password":
            page("Set a new password", fields: [password], button: "Set it", call: "/auth/reset-password")
        case script: answer(code, "text/javascript; charset=utf-8")
        default: nil
        }
    }

    private static let name = """
        <label>Your name <input name="name" autocomplete="name" maxlength="200" required></label>
        """

    private static let password = """
        <label>New password <input name="password" type="password" autocomplete="new-password" minlength="8" required></label>
        """

    private static func page(_ title: String, fields: [String], button: String, call: String) -> Answer {
        let text = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(title)</title>
            <link rel="stylesheet" href="\(Explorer.path)/explorer.css">
            <script src="\(script)" defer></script>
            </head>
            <body>
            <main>
            <h1>\(title)</h1>
            <form action="\(call)" method="post">
            \(fields.map { "<p>\($0)</p>" }.joined(separator: "\n"))
            <p><button>\(button)</button></p>
            </form>
            <p><output></output></p>
            <noscript>This page needs JavaScript. Without it, POST the link's token to \(call).</noscript>
            </main>
            </body>
            </html>

            """
        return answer(text, "text/html; charset=utf-8")
    }

    /// The address holds a token, so it is told to nobody and stays in no cache.
    private static func answer(_ text: String, _ type: String) -> Answer {
        Answer(
            status: 200,
            contentType: type,
            body: Array(text.utf8),
            headers: [
                ("Cache-Control", "no-store"), ("Content-Security-Policy", policy),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
            ]
        )
    }

    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
        frame-ancestors 'none'
        """

    /// Takes the token out of the address at once, so that it doesn't stay in the browser's history.
    private static let code = """
        "use strict";
        const token = new URLSearchParams(location.search).get("token") || "";
        history.replaceState(null, "", location.pathname);
        const form = document.querySelector("form");
        const output = document.querySelector("output");
        form.addEventListener("submit", async (event) => {
          event.preventDefault();
          let answer, problem;
          try {
            answer = await fetch(form.getAttribute("action"), {
              method: "POST",
              headers: { "Content-Type": "application/json" },
              body: JSON.stringify({ token, ...Object.fromEntries(new FormData(form)) }),
            });
            problem = answer.ok ? null : await answer.json();
          } catch {
            // Nobody answered, or something in between did: whether it was done is not known, and trying again tells.
            output.textContent = "There was no answer. Try again in a moment.";
            return;
          }
          if (answer.ok) {
            form.hidden = true;
            output.textContent = "Done. Log in with the new password.";
            return;
          }
          const faults = (problem.errors || []).map((fault) => `${(fault.pointer || "").slice(1)} ${fault.detail}`);
          output.textContent = [problem.detail, ...faults].join(" ");
        });

        """
}
