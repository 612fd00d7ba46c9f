// Two validated inputs, given back.
"use strict";

const { Action } = require("actionhero");

exports.Echo = class Echo extends Action {
  constructor() {
    super();
    this.name = "echo";
    this.description = "Gives back what it was given";
    this.inputs = {
      text: { required: true },
      number: {
        required: true,
        formatter: Number,
        validator: (value) => {
          if (!Number.isInteger(value)) throw new Error("number must be an integer");
        },
      },
    };
  }

  async run({ params, response }) {
    response.text = params.text;
    response.number = params.number;
  }
};
