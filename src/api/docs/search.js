// Shows what holds all the words that are typed. Without this script everything is shown.
"use strict";
const search = document.getElementById("search");
const articles = [...document.querySelectorAll("main article")];
const texts = articles.map((article) => article.textContent.toLowerCase());
const links = new Map([...document.querySelectorAll("nav li a")].map((link) => [link.hash.slice(1), link.parentElement]));
search.hidden = false;
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  articles.forEach((article, place) => {
    article.hidden = !words.every((word) => texts[place].includes(word));
    const link = links.get(article.id);
    if (link) link.hidden = article.hidden;
  });
});
