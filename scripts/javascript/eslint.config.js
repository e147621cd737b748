// What no type says: names that are not used or say nothing, comparisons that convert, variables that should be constants.

import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    languageOptions: {
      sourceType: "script",
      globals: { ...globals.browser, Evenhand: "readonly", htmx: "readonly", uPlot: "readonly" },
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "id-denylist": ["error", "each", "found", "told"], // they say nothing of what a variable holds, as in tests/test_layers.py
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-empty": ["error", { allowEmptyCatch: true }],
      "no-shadow": "error",
      "no-unused-vars": ["error", { args: "none" }],
      "no-var": "error",
      "prefer-const": "error",
      strict: ["error", "global"],
    },
  },
];
