/** Imported for its effect by every entry point but the lean one. */
import { explainErrors } from "./causes.ts";

explainErrors();
