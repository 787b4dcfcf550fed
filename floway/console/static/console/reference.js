// Shows the API's description; nothing is fetched from elsewhere, no validator's badge either.
"use strict";

SwaggerUIBundle({
  dom_id: "#reference",
  url: document.getElementById("reference").dataset.url,
  deepLinking: true,
  validatorUrl: null,
});
